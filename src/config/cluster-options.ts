/**
 * The options of a node that is one of several. Rows like those of `options.ts`, of which they are a part; how they fit
 * together is checked by `cluster-settings.ts`.
 */
import { duration, integer, type Option, text, unset } from './option.ts'

const cluster = 'nats://a:4222,nats://b:4222,nats://c:4222'
const peers = 'n1=10.0.0.1:25672,n2=10.0.0.2:25672,n3=10.0.0.3:25672'

export const clusterOptions = {
  cluster: unset(
    'cluster',
    'the addresses of NATS servers with commas between',
    cluster,
    'NATS servers that you run, with commas between; `none` is a single node, or `peers`.',
  ),
  peers: unset(
    'peers',
    'name=host:port of all nodes with commas between',
    peers,
    'All nodes as `name=host:port`, each of which runs a NATS server of its own; `none` is a single node, or `cluster`.',
  ),
  nodeName: unset(
    'node-name',
    'a name of letters, digits, "-", "_" and "."',
    'n1',
    'Which node of the cluster this is; never two with one name.',
  ),
  clusterName: text(
    'cluster-name',
    'warren',
    'a name of at most 32 letters, digits, "-" and "_"',
    'Clusters that share NATS servers differ by it.',
  ),
  clusterHost: unset(
    'cluster-host',
    'an address of this machine',
    '10.0.0.1',
    'Where other nodes reach this one; with `peers` it stands there.',
  ),
  clusterPort: integer(
    'cluster-port',
    { default: 25_672, min: 1, max: 65_533 },
    'TCP port for other nodes, where `peers` says none. With `peers` the two ports above it are for NATS.',
  ),
  clusterSecret: unset(
    'cluster-secret',
    'a text of at least 16 characters',
    'see cluster-secret-file',
    'What all nodes know and nobody else; needed unless all are on this machine.',
  ),
  clusterSecretFile: unset(
    'cluster-secret-file',
    'the path of a file',
    '/etc/warren/cluster-secret',
    'A file with the secret instead.',
  ),
  clusterTlsCertificate: unset(
    'cluster-tls-cert',
    'the path of a PEM file',
    '/etc/warren/node.crt',
    'Certificate of this node; with it, nodes talk to each other by TLS only.',
  ),
  clusterTlsKey: unset('cluster-tls-key', 'the path of a PEM file', '/etc/warren/node.key', 'Its key.'),
  clusterTlsAuthority: unset(
    'cluster-tls-ca',
    'the path of a PEM file',
    '/etc/warren/ca.crt',
    'Who signs the certificates of all nodes.',
  ),
  clusterShards: integer(
    'cluster-shards',
    { default: 16, min: 1, max: 256 },
    'Into how many shards queues are spread; counts when the cluster is made.',
  ),
  clusterReplicas: integer(
    'cluster-replicas',
    { default: 3, min: 1, max: 5 },
    'How many NATS servers store each message; 1 is for trying out.',
  ),
  clusterSessionMs: duration(
    'cluster-session',
    { default: '20s', min: '5s', max: '5min' },
    'How long a node that is not heard of keeps what is its.',
  ),
  clusterStartMsMax: duration(
    'cluster-start-timeout',
    { default: '5min', min: '1s', max: '1h' },
    'How long a start waits for a majority of NATS servers; then it ends.',
  ),
  natsProgram: unset(
    'nats-server',
    'the path of the program nats-server',
    '/usr/sbin/nats-server',
    'The program that `peers` starts; `none` looks for it.',
  ),
  natsCredentials: unset(
    'nats-credentials',
    'the path of a credentials file',
    '/etc/warren/warren.creds',
    'Login to the NATS servers of `cluster`: a credentials file,',
  ),
  natsNkey: unset(
    'nats-nkey',
    'the path of a file',
    '/etc/warren/warren.nk',
    'or a file with the seed of an nkey (`SU…`),',
  ),
  natsUser: unset('nats-user', 'a user of the NATS servers', 'warren', 'or a user'),
  natsPassword: unset('nats-password', 'a password', 'see nats-credentials', 'with a password,'),
  natsToken: unset('nats-token', 'a token', 'see nats-credentials', 'or a token.'),
  natsTlsAuthority: unset(
    'nats-tls-ca',
    'the path of a PEM file',
    '/etc/warren/nats-ca.crt',
    'Whom to trust in TLS to them; `none`: whom the system trusts.',
  ),
  natsTlsCertificate: unset(
    'nats-tls-cert',
    'the path of a PEM file',
    '/etc/warren/warren.crt',
    'Certificate to show them.',
  ),
  natsTlsKey: unset('nats-tls-key', 'the path of a PEM file', '/etc/warren/warren.key', 'Its key.'),
  natsDomain: unset(
    'nats-domain',
    'the name of a JetStream domain',
    'hub',
    'JetStream domain of the servers that store, where clients reach them by others, such as leaf nodes.',
  ),
  natsSystemCredentials: unset(
    'nats-system-credentials',
    'the path of a credentials file',
    '/etc/warren/sys.creds',
    'Login to the system account of NATS, to check the servers: a credentials file,',
  ),
  natsSystemNkey: unset('nats-system-nkey', 'the path of a file', '/etc/warren/sys.nk', 'or a file with an nkey,'),
  natsSystemUser: unset('nats-system-user', 'a user of the system account', 'sys', 'or a user'),
  natsSystemPassword: unset('nats-system-password', 'a password', 'see nats-system-credentials', 'with a password.'),
  natsMonitors: unset(
    'nats-monitor',
    'the monitoring addresses of all NATS servers with commas between',
    'http://a:8222,http://b:8222,http://c:8222',
    'Monitoring addresses of all servers with commas between, instead of the system account.',
  ),
} as const satisfies Record<string, Option<unknown>>

/** Names of the options here. */
export type ClusterField = keyof typeof clusterOptions
