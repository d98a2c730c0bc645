/** Joining NATS servers that somebody else runs: how they are checked, and what is refused with which sentence. */
import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import type { Config } from '../../src/config.ts'
import { bothLogins, Joining } from '../support/nats/joining.ts'
import { natsProgram } from '../support/nats/nats-program.ts'
import { type OperatedOptions, OperatedServer, twoAccounts } from '../support/nats/operated-server.ts'
import { freePort, freePorts } from '../support/ports.ts'
import { leftOut } from '../support/run-program.ts'

const servers: OperatedServer[] = []
const joining = new Joining()
after(async () => {
  await joining.end()
  await Promise.all(servers.map((one) => one.remove()))
})

const program = await natsProgram()
if (program === null) leftOut('joining NATS servers', 'nats-server')
else describe('NATS servers that somebody runs', withServers)

async function server(config = twoAccounts(), options: OperatedOptions = {}): Promise<OperatedServer> {
  const started = await OperatedServer.start(program ?? '', config, options)
  servers.push(started)
  return started
}

/** Three that know each other. */
async function cluster(): Promise<OperatedServer[]> {
  const ports = await freePorts(3)
  const routes = ports.map((port) => `nats-route://127.0.0.1:${port}`).join(', ')
  return await Promise.all(
    ports.map((port, index) => {
      const block = `cluster { name: several, listen: "127.0.0.1:${port}", routes: [${routes}] }`
      return server(`${twoAccounts()}\n${block}`, { name: `s${index}` })
    }),
  )
}

/** By the monitoring address alone. */
function monitored({ monitor }: OperatedServer): Partial<Config> {
  return { natsSystemUser: 'none', natsSystemPassword: 'none', natsMonitors: monitor }
}

function withServers(): void {
  it('are joined by user and password, and checked by the system account', async () => {
    const { url } = await server()
    const nats = await joining.join({ cluster: url, ...bothLogins })
    assert.match(nats.described, /^node n1 has joined the NATS servers alone \d+\.\d+\.\d+: one copy of each message/)
    assert.deepEqual([nats.problems, nats.replicas, nats.childPid], [[], 1, null])
    assert.equal(nats.servers[0]?.name, 'alone')
    assert.equal(nats.connection.isClosed(), false)
  })

  it('are checked by their monitoring addresses', async () => {
    const one = await server()
    const nats = await joining.join({ cluster: one.url, ...bothLogins, ...monitored(one) })
    assert.deepEqual([nats.problems, nats.servers[0]?.name], [[], 'alone'])
  })

  it('are refused when they acknowledge before they sync', async () => {
    const { url } = await server(twoAccounts(), { jetstream: '' })
    const sentence = /^NATS server alone acknowledges before it syncs, .*: put sync_interval: always into/
    await joining.refused({ cluster: url, ...bothLogins }, sentence)
  })

  it('are refused when they store nothing', async () => {
    const { url } = await server(twoAccounts('disabled'), { jetstream: null })
    await joining.refused({ cluster: url, ...bothLogins }, /^NATS server alone has no JetStream: give it a block/)
  })

  it('are refused when they are too few for the copies', async () => {
    const { url } = await server()
    const sentence = /are no cluster; each message is to be stored by 3: add servers/
    await joining.refused({ cluster: url, ...bothLogins, clusterReplicas: 3 }, sentence)
  })

  it('are refused when they refuse the login, or it is not that of the system account', async () => {
    const { url } = await server()
    const joined = { cluster: url, ...bothLogins }
    await joining.refused({ ...joined, natsPassword: 'wrong' }, /refuse the login; correct nats-credentials/, ['wrong'])
    const system = /correct nats-system-credentials, nats-system-nkey or nats-system-user$/
    await joining.refused({ ...joined, natsSystemPassword: 'wrong' }, system, ['wrong'])
    const own = { natsSystemUser: 'warren', natsSystemPassword: 'w' }
    await joining.refused({ ...joined, ...own }, /(no NATS server answers to the system account|cannot be checked)/)
  })

  it('are refused when they are several that tell of each other, and refuse the login', async () => {
    const several = await cluster()
    const joined = { cluster: several.map(({ url }) => url).join(), ...bothLogins, clusterReplicas: 3 }
    await joining.refused({ ...joined, natsPassword: 'wrong' }, /refuse the login; correct nats-credentials/, ['wrong'])
  })

  it('are refused when only a few of them can be asked', async () => {
    const several = await cluster()
    const [first] = several
    assert.ok(first !== undefined)
    const joined = { cluster: several.map(({ url }) => url).join(), ...bothLogins, clusterReplicas: 3 }
    const sentence = /^no majority of the NATS servers .* \(only s0 answers\); .* give the monitoring addresses of all/
    await joining.refused({ ...joined, clusterStartMsMax: 10_000, ...monitored(first) }, sentence)
  })

  it('are refused when they cannot be reached, or not be asked', async () => {
    const port = await freePort()
    const absent = { cluster: `nats://127.0.0.1:${port}`, ...bothLogins }
    await joining.refused(absent, /^none of the NATS servers nats:\S+ can be reached .*; start them/)
    const { url } = await server()
    const monitors = { natsSystemUser: 'none', natsSystemPassword: 'none', natsMonitors: `http://127.0.0.1:${port}` }
    const sentence = /at http:\S+ cannot be asked \(ECONNREFUSED\): start the server with http_port/
    await joining.refused({ cluster: url, ...bothLogins, ...monitors }, sentence)
  })

  it('are refused when the account has no JetStream, or too little of it', async () => {
    const without = await server(twoAccounts('disabled'))
    const none = /^the account of the NATS login has no JetStream; enable it/
    await joining.refused({ cluster: without.url, ...bothLogins }, none)
    const little = await server(twoAccounts('{ max_consumers: 5 }'))
    const few = /may have 5 consumers per stream, fewer than 32: take the limit off/
    await joining.refused({ cluster: little.url, ...bothLogins }, few)
  })

  const denied: readonly (readonly [what: string, permissions: string, sentence: RegExp])[] = [
    ['ask JetStream', 'publish: { deny: ["$JS.API.>"] }', /may not publish to '\$JS\.API\.INFO'; allow it/],
    [
      'make streams',
      'publish: { deny: ["$JS.API.STREAM.CREATE.>"] }',
      /publish to '\$JS\.API\.STREAM\.CREATE\.warren-/,
    ],
    ['follow streams', 'publish: { deny: ["$JS.API.CONSUMER.>"] }', /publish to '\$JS\.API\.CONSUMER\.CREATE\.warren-/],
    ['write logs', 'publish: { deny: ["warren-warren.log.>"] }', /publish to 'warren-warren\.log\.none'/],
    ['write leases', 'publish: { deny: ["$KV.>"] }', /publish to '\$KV\.warren-warren\.none'/],
    ['take answers', 'subscribe: { deny: ["_INBOX.>"] }', /subscribe to '_INBOX\./],
  ]
  for (const [what, permissions, sentence] of denied) {
    it(`are refused when the user may not ${what}`, async () => {
      const { url } = await server(twoAccounts('enabled', `, permissions: { ${permissions} }`))
      await joining.refused({ cluster: url, ...bothLogins }, sentence)
    })
  }

  it('are joined by a user with no more rights than are needed', async () => {
    const publish = '["$JS.API.>", "$JS.FC.>", "$KV.warren-warren.>", "warren-warren.>"]'
    const { url } = await server(
      twoAccounts('enabled', `, permissions: { publish: ${publish}, subscribe: "_INBOX.>" }`),
    )
    assert.deepEqual((await joining.join({ cluster: url, ...bothLogins })).problems, [])
  })

  it('are joined in a JetStream domain, by whichever server one comes to it', async () => {
    const leaf = await freePort()
    const joinsSystem = 'authorization { user: leaf, password: "l", account: W }'
    const hub = await server(`${twoAccounts()}\nleafnodes { listen: "127.0.0.1:${leaf}", ${joinsSystem} }`, {
      name: 'hub',
      jetstream: 'sync_interval: always, domain: hub',
    })
    const remote = `leafnodes { remotes: [{ url: "nats://leaf:l@127.0.0.1:${leaf}", account: W }] }`
    const edge = await server(`${twoAccounts('disabled')}\n${remote}`, { name: 'edge', jetstream: null })
    const joined = { cluster: edge.url, ...bothLogins, ...monitored(hub) }
    const nats = await joining.join({ ...joined, natsDomain: 'hub' })
    assert.deepEqual([nats.problems, nats.domain], [[], 'hub'])
    const lost = /JetStream in the domain 'nowhere' does not answer the NATS login/
    await joining.refused({ ...joined, natsDomain: 'nowhere' }, lost)
  })
}
