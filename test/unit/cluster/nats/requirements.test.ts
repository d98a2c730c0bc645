/** What NATS servers must give, and what those that nodes run themselves are told. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { loginsOf, natsConfig, routePassword } from '../../../../src/cluster/nats/nats-config.ts'
import { problemsOf, readReport, type ServerReport, streamProblems } from '../../../../src/cluster/nats/requirements.ts'
import { checkServers } from '../../../../src/cluster/nats/server-check.ts'

const good: ServerReport = {
  name: 'n1',
  version: '2.15.1',
  hasJetStream: true,
  isSyncAlways: true,
  payloadBytesMax: 1_048_576,
  leader: 'n1',
  groupSize: 3,
  replicas: [
    { name: 'n2', isOffline: false },
    { name: 'n3', isOffline: false },
  ],
}
const all = ['n1', 'n2', 'n3'].map((name) => ({ ...good, name, replicas: name === 'n1' ? good.replicas : [] }))

describe('the requirements on NATS servers', () => {
  it('are met by a server as it should be', () => {
    assert.deepEqual(problemsOf(good), [])
  })

  const refused: readonly (readonly [what: string, report: Partial<ServerReport>, sentence: RegExp])[] = [
    ['an old version', { version: '2.14.3' }, /^NATS server n1 has version 2.14.3; 2.14.4 is needed: install/],
    ['no JetStream', { hasJetStream: false, isSyncAlways: false }, /^NATS server n1 has no JetStream: give it/],
    ['late syncs', { isSyncAlways: false }, /^NATS server n1 .* power failure .*: put sync_interval: always into/],
    ['small messages', { payloadBytesMax: 65_536 }, /^NATS server n1 takes 65536 bytes at most: set max_payload/],
  ]
  for (const [what, report, sentence] of refused) {
    it(`refuse ${what}`, () => {
      const problems = problemsOf({ ...good, ...report })
      assert.equal(problems.length, 1)
      assert.match(problems[0] ?? '', sentence)
    })
  }

  it('are met by a cluster of enough servers with a leader', async () => {
    const check = await checkServers(answering(all), 3)
    assert.deepEqual([check.problems, check.hasLeader, check.servers.length], [[], true, 3])
  })

  it('name a server that does not answer', async () => {
    const { servers, problems } = await checkServers(answering(all.slice(0, 2)), 3)
    assert.deepEqual(servers.at(-1), { name: 'n3', version: null, problems })
    assert.match(problems[0] ?? '', /^NATS server n3 does not answer: start it, or remove it$/)
  })

  it('are said of a majority by a majority', async () => {
    for (const [answered, hasMajority] of [
      [1, false],
      [2, true],
    ] as const) {
      assert.equal((await checkServers(answering(all.slice(0, answered)), 3)).hasMajority, hasMajority)
    }
  })

  it('name a server that nobody has met since they were started, where its name is known here', async () => {
    const replicas = [{ name: 'Server name unknown at this time (peerID: BXScrY9i)', isOffline: true }]
    const reports = all.slice(0, 2).map((report) => ({ ...report, replicas }))
    const { servers } = await checkServers(answering(reports), 3, ['n1', 'n2', 'n3'])
    assert.deepEqual([servers.at(-1)?.name, servers.length], ['n3', 3])
    const [unknown] = (await checkServers(answering(reports), 3)).problems
    assert.match(
      unknown ?? '',
      /^a NATS server does not answer .* with the id BXScrY9i .*: start it, or remove it by its/,
    )
  })

  it('are not for servers that store nothing, unless the group counts on them', async () => {
    const leaf = { ...good, name: 'leaf', hasJetStream: false, isSyncAlways: false, leader: '', replicas: [] }
    const check = await checkServers(answering([...all, leaf]), 3)
    assert.deepEqual([check.problems, check.servers.length], [[], 3])
    const off = all.map((report) => (report.name === 'n2' ? { ...report, hasJetStream: false } : report))
    assert.match((await checkServers(answering(off), 3)).problems.join(), /^NATS server n2 has no JetStream: give it/)
    assert.match((await checkServers(answering([leaf]), 1)).problems.join(), /^NATS server leaf has no JetStream/)
  })

  it('need as many servers as there are copies', async () => {
    const alone = { ...good, leader: '', groupSize: 0, replicas: [] }
    const { problems, hasLeader } = await checkServers(answering([alone]), 3)
    assert.match(
      problems[0] ?? '',
      /are no cluster; each message is to be stored by 3: add servers, or give --cluster-r/,
    )
    assert.equal(hasLeader, true)
    assert.deepEqual((await checkServers(answering([alone]), 1)).problems, [])
    const two = all.slice(0, 2).map((report) => ({ ...report, groupSize: 2, replicas: [] }))
    assert.match((await checkServers(answering(two), 3)).problems[0] ?? '', /has 2 servers; each message/)
  })

  it('hold for streams as well', () => {
    const streams = [
      { name: 'warren-a', num_replicas: 3 },
      { name: 'warren-b', num_replicas: 1 },
      { name: 'warren-c', num_replicas: 3, persist_mode: 'async' },
    ]
    const problems = streamProblems(streams, 3)
    assert.equal(problems.length, 2)
    assert.match(
      problems[0] ?? '',
      /^stream warren-b has 1 copies and not 3: `nats stream edit warren-b --replicas 3`$/,
    )
    assert.match(problems[1] ?? '', /^stream warren-c has persist_mode async/)
  })

  it('are read from what a server says, and from nothing else', () => {
    const json = {
      server_name: 'n1',
      version: '2.15.1',
      max_payload: 1_048_576,
      jetstream: {
        config: { sync_always: true },
        meta: { leader: 'n1', cluster_size: 3, replicas: [{ name: 'n2' }, { name: 'n3' }] },
      },
    }
    assert.deepEqual(readReport(json), good)
    for (const other of [null, 'x', {}, { server_name: 1 }]) assert.equal(readReport(other), null)
    assert.equal(readReport({ ...json, jetstream: {} })?.hasJetStream, false)
  })
})

describe('the configuration of a nats-server', () => {
  const parts = {
    clusterName: 'warren',
    nodeName: 'n1',
    peers: [
      { name: 'n1', host: '10.0.0.1', routePort: 701 },
      { name: 'n2', host: 'two.example', routePort: 711 },
      { name: 'n3', host: 'fd00::3', routePort: 721 },
    ],
    listenHost: '*',
    clientPort: 702,
    storeDirectory: '/a "b"\\c',
    logFile: '/data/nats/nats-server.log',
    secret: 'the secret of all nodes',
    logins: { password: 'p1', systemPassword: 'p2' },
    routeTls: null,
  }

  it('syncs each write and takes clients from this machine only', () => {
    const text = natsConfig(parts)
    assert.match(text, /sync_interval: always/)
    assert.match(text, /^listen: "127\.0\.0\.1:702"$/m)
    assert.match(text, /store_dir: "\/a \\"b\\"\\\\c"/)
    assert.match(text, /^system_account: SYSTEM$/m)
  })

  it('routes to all with a password that is not the secret', () => {
    const text = natsConfig(parts)
    const password = routePassword(parts.secret, 'warren')
    assert.match(password, /^[0-9a-f]{64}$/)
    assert.deepEqual(text.match(/nats-route:\S+@(\S+)"/g), [
      `nats-route://route:${password}@10.0.0.1:701"`,
      `nats-route://route:${password}@two.example:711"`,
      `nats-route://route:${password}@[fd00::3]:721"`,
    ])
    assert.match(text, /listen: "0\.0\.0\.0:701"/)
    assert.ok(!text.includes(parts.secret))
    assert.notEqual(password, routePassword(parts.secret, 'other'))
  })

  it('asks routes for certificates where there are some', () => {
    const text = natsConfig({ ...parts, routeTls: { ca: '/ca', certificate: '/c', key: '/k' } })
    assert.match(text, /tls \{ ca_file: "\/ca", cert_file: "\/c", key_file: "\/k", verify: true/)
  })

  it('tells the logins again, and has none where it is of somebody else', () => {
    const logins = { password: 'a-Z_9', systemPassword: 'b_-8' }
    assert.deepEqual(loginsOf(natsConfig({ ...parts, logins })), logins)
    for (const text of ['', 'server_name: "n1"\n']) assert.equal(loginsOf(text), null)
  })

  it('has no routes where there is one node', () => {
    assert.doesNotMatch(natsConfig({ ...parts, peers: parts.peers.slice(0, 1) }), /cluster/)
  })
})

function answering(reports: readonly ServerReport[]) {
  return () => Promise.resolve({ reports, failures: [] })
}
