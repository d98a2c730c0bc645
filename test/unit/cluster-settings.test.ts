/** What the options of a cluster mean together, and that whatever does not fit is a sentence with a mend. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { checkCluster } from '../../src/config/cluster-settings.ts'
import { type Config, ConfigError, configWith, defaultConfig } from '../../src/config.ts'

const local = 'n1=127.0.0.1:7100,n2=127.0.0.1:7110,n3=127.0.0.1:7120'
const remote = 'n1=10.0.0.1,n2=10.0.0.2:700,n3=[fd00::3]:800'
const secret = 'sixteen letters!'
const joined = {
  nodeName: 'n1',
  cluster: 'nats://10.0.0.1:4222, tls://b:4222',
  clusterHost: '10.0.0.9',
  clusterSecret: secret,
  natsMonitors: 'http://10.0.0.1:8222',
}

describe('the options of a cluster', () => {
  it('are none by default: a single node', () => {
    assert.deepEqual(checkCluster(defaultConfig), { settings: null, problems: [] })
  })

  it('find the node among its peers, and the ports of all', () => {
    const settings = settingsOf({ nodeName: 'n2', peers: remote, clusterSecret: secret, dataDirectory: '/d' })
    assert.deepEqual([settings.host, settings.port, settings.listenHost], ['10.0.0.2', 700, '*'])
    assert.deepEqual(settings.peers, [
      { name: 'n1', host: '10.0.0.1', port: 25_672, routePort: 25_673 },
      { name: 'n2', host: '10.0.0.2', port: 700, routePort: 701 },
      { name: 'n3', host: 'fd00::3', port: 800, routePort: 801 },
    ])
    const { nats } = settings
    assert.ok(nats.kind === 'child')
    assert.deepEqual([nats.clientPort, nats.directory, nats.secret, nats.replicas], [702, '/d/nats', secret, 3])
  })

  it('need no secret where all nodes are on this machine', () => {
    const settings = settingsOf({ nodeName: 'n1', peers: local })
    assert.deepEqual([settings.secret, settings.listenHost], ['all nodes are on this machine', '127.0.0.1'])
  })

  it('join NATS servers that somebody runs', () => {
    const { nats, host, listenHost } = settingsOf({ ...joined, natsUser: 'u', natsPassword: 'p' })
    assert.ok(nats.kind === 'joined')
    assert.deepEqual(nats.servers, ['nats://10.0.0.1:4222', 'tls://b:4222'])
    assert.deepEqual([nats.login.user, nats.login.password, nats.systemLogin, nats.tls], ['u', 'p', null, null])
    assert.deepEqual([host, listenHost, nats.monitors], ['10.0.0.9', '*', ['http://10.0.0.1:8222']])
  })

  it('log in by an nkey, and in a JetStream domain', () => {
    const { nats } = settingsOf({ ...joined, natsNkey: '/own.nk', natsSystemNkey: '/sys.nk', natsDomain: 'hub' })
    assert.ok(nats.kind === 'joined')
    assert.deepEqual([nats.login.nkeyFile, nats.systemLogin?.nkeyFile, nats.domain], ['/own.nk', '/sys.nk', 'hub'])
  })

  const refused: readonly (readonly [what: string, given: Partial<Config>, sentence: RegExp])[] = [
    ['a name alone', { nodeName: 'n1' }, /neither cluster nor peers; give one/],
    ['both ways', { nodeName: 'n1', peers: local, cluster: 'nats://a' }, /both set; give cluster for/],
    ['no name', { peers: local }, /node-name is missing; give/],
    ['a name with a space', { peers: local, nodeName: 'n 1' }, /'n 1' does not fit; give at most 64/],
    ['a name that is not there', { peers: local, nodeName: 'n4' }, /no node 'n4'; it has n1, n2, n3: add/],
    ['a peer without host', { nodeName: 'n1', peers: 'n1,n2=b,n3=c' }, /'n1' in peers does not fit; write/],
    ['a port too high', { nodeName: 'n1', peers: 'n1=a:65534,n2=b,n3=c' }, /'n1=a:65534' in peers/],
    ['a name twice', { nodeName: 'n1', peers: `${local},n1=127.0.0.1:9,n5=127.0.0.1:19` }, /has 'n1' twice; give/],
    ['ports too close', { nodeName: 'n1', peers: local.replace('7110', '7102') }, /'n1' and 'n2' .* same ports/],
    ['an even number', { nodeName: 'n1', peers: `${local},n4=127.0.0.1:9` }, /4 nodes; give an odd number/],
    ['too few', { nodeName: 'n1', peers: 'n1=127.0.0.1' }, /1 of the 3 nodes .*; give more/],
    ['no secret', { nodeName: 'n1', peers: remote }, /cluster-secret is missing; give/],
    ['a short secret', { nodeName: 'n1', peers: local, clusterSecret: 'short' }, /too short; give at least 16/],
    ['two secrets', { nodeName: 'n1', peers: local, clusterSecret: secret, clusterSecretFile: 'f' }, /both set/],
    ['half of TLS', { nodeName: 'n1', peers: local, clusterTlsCertificate: 'c', clusterTlsKey: 'k' }, /all three/],
    ['an even number of replicas', { nodeName: 'n1', peers: local, clusterReplicas: 2 }, /give 3 or 5/],
    ['no address', { ...joined, clusterHost: 'none' }, /cluster-host is missing; give/],
    ['nobody to check', { ...joined, natsMonitors: 'none' }, /nobody can check the NATS servers; give/],
    ['a foreign protocol', { ...joined, cluster: 'http://a' }, /address in cluster does not fit; write/],
    ['a user in an address', { ...joined, cluster: 'nats://me:geheim@a' }, /has a user in it; give nats-user/],
    ['half a login', { ...joined, natsUser: 'u' }, /nats-user and nats-password belong together/],
    ['two logins', { ...joined, natsToken: 't', natsCredentials: 'f' }, /different ways to log in/],
    ['two of the system', { ...joined, natsSystemNkey: 'n', natsSystemCredentials: 'f' }, /different ways to log in/],
    ['a domain with a dot', { ...joined, natsDomain: 'a.b' }, /nats-domain = 'a\.b' does not fit; give the domain/],
  ]
  for (const [what, given, sentence] of refused) {
    it(`refuse ${what}`, () => {
      const { settings, problems } = checkCluster({ ...defaultConfig, ...given })
      assert.equal(settings, null)
      assert.match(problems.join('\n'), sentence)
      assert.doesNotMatch(problems.join('\n'), /geheim|sixteen/)
      assert.throws(() => configWith(given), ConfigError)
    })
  }
})

it('says once what is wrong with peers, and nothing that follows from it', () => {
  const given: readonly (readonly [Partial<Config>, RegExp])[] = [
    [{ nodeName: 'n1', peers: 'n1:127.0.0.1,n2=127.0.0.2,n3=127.0.0.3' }, /^'n1:127\.0\.0\.1' in peers does not fit/],
    [{ nodeName: 'n1', peers: 'n1=127.0.0.1,n2=127.0.0.2' }, /^peers has 2 of the 3 nodes/],
  ]
  for (const [options, sentence] of given) {
    const { problems } = checkCluster({ ...defaultConfig, ...options })
    assert.equal(problems.length, 1, problems.join('\n'))
    assert.match(problems[0] ?? '', sentence)
  }
})

function settingsOf(given: Partial<Config>) {
  const { settings, problems } = checkCluster({ ...defaultConfig, ...given })
  assert.deepEqual(problems, [])
  assert.ok(settings !== null)
  return settings
}
