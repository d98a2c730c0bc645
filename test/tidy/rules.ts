/**
 * Our own rules of the house as tables. Each says what to do instead.
 *
 * What Biome checks (unused things, floating style, `any`, `!`) stays with Biome; what it cannot know is here.
 */

/** Who may import whom, by folder or root file of `src`; the drawing is in ARCHITECTURE.md. */
export const importTable: Readonly<Record<string, readonly string[]>> = {
  base: [],
  amqp: ['base'],
  log: ['base'],
  broker: [
    'base',
    'log/log.ts',
    'amqp/field-table.ts',
    'amqp/content-header.ts',
    'amqp/short-string.ts',
    'amqp/known-headers.ts',
    'amqp/byte-writer.ts',
  ],
  cluster: [
    'base',
    'broker',
    'log/log.ts',
    // The copy of a log, of which a shard is opened.
    'log/jetstream/replica.ts',
    'start-error.ts',
    'amqp/byte-reader.ts',
    'amqp/byte-writer.ts',
    'amqp/content-header.ts',
    'amqp/field-table.ts',
    'amqp/short-string.ts',
  ],
  server: ['base', 'amqp', 'broker'],
  // A publish over HTTP asks for what one over AMQP does.
  management: [
    'base',
    'broker',
    'cluster',
    'server/publish-request.ts',
    'amqp/byte-writer.ts',
    'amqp/content-header.ts',
    'amqp/field-table.ts',
    'amqp/reply-codes.ts',
    'amqp/short-string.ts',
  ],
  client: ['base', 'amqp'],
  oauth: ['base', 'broker/access'],
  'load-definitions.ts': ['base', 'broker', 'config.ts', 'start-error.ts'],
  'node-reload.ts': ['base', 'management/reload.ts', 'certificates.ts', 'config.ts', 'listeners.ts', 'start-error.ts'],
  'token-logins.ts': ['base', 'broker/access/tokens.ts', 'oauth', 'config.ts', 'start-error.ts'],
  config: [],
  'config.ts': ['config'],
  'version.ts': [],
  'alarms.ts': ['base', 'broker'],
  'start-error.ts': [],
  'data-directory.ts': ['base', 'start-error.ts'],
  'storage.ts': ['base', 'log', 'broker', 'config.ts', 'data-directory.ts'],
  // A program of its own, for browsers; it speaks with the rest by HTTP only.
  ui: [],
  backup: ['base', 'broker/stream', 'broker/topology', 'log/file', 'management/backup.ts', 'data-directory.ts'],
  'node-end.ts': [],
  'start-failure.ts': ['log', 'start-error.ts'],
  'certificates.ts': ['base', 'config.ts', 'start-error.ts'],
  telemetry: [
    'base',
    'broker/message-traits.ts',
    'broker/queue/residences.ts',
    'broker/stream/stream-tracing.ts',
    'broker/trace-listener.ts',
  ],
  'node-access.ts': ['base', 'broker', 'config.ts', 'token-logins.ts'],
  'node-tracing.ts': ['base', 'config.ts', 'start-error.ts', 'telemetry', 'version.ts'],
  'http-api.ts': ['base', 'broker', 'management', 'config.ts', 'version.ts'],
  'listeners.ts': ['base', 'server', 'management', 'certificates.ts', 'config.ts', 'http-api.ts', 'start-error.ts'],
  'cluster-directory.ts': [
    'base',
    'cluster/membership/entry-fields.ts',
    'cluster/nats/small-file.ts',
    'data-directory.ts',
    'start-error.ts',
    'start-failure.ts',
  ],
  'cluster-daemon.ts': [
    'base',
    'cluster/nats',
    'log/file/data-directory-lock.ts',
    'cluster-directory.ts',
    'config.ts',
    'daemon.ts',
    'management/reload.ts',
    'start-error.ts',
  ],
  'cluster-join.ts': ['base', 'cluster', 'cluster-directory.ts', 'config.ts', 'start-error.ts', 'version.ts'],
  'cluster-links.ts': ['base', 'cluster', 'cluster-join.ts'],
  'cluster-logs.ts': ['base', 'broker', 'cluster', 'log', 'cluster-directory.ts', 'config.ts'],
  'cluster-reports.ts': ['base', 'broker/access/login-ledger.ts', 'cluster', 'management/cluster-facts.ts'],
  'cluster-node.ts': [
    'base',
    'broker',
    'cluster',
    'log',
    'management/cluster-facts.ts',
    'alarms.ts',
    'cluster-daemon.ts',
    'cluster-join.ts',
    'cluster-links.ts',
    'cluster-logs.ts',
    'cluster-reports.ts',
    'start-error.ts',
    'topology-start.ts',
  ],
  'topology-start.ts': ['cluster/nats/refusals.ts', 'log/jetstream/frame-stream.ts', 'log/log.ts', 'start-error.ts'],
  // What is told of webhooks, and a message as it is told over HTTP.
  webhook: [
    'base',
    'broker',
    'amqp/content-header.ts',
    'amqp/field-table.ts',
    'management/webhooks.ts',
    'management/api/message-properties.ts',
    'management/api/taken-message.ts',
  ],
  'webhooks.ts': ['base', 'broker', 'webhook', 'config.ts', 'version.ts'],
  'daemon.ts': [
    'base',
    'amqp',
    'log',
    'broker',
    'cluster',
    'server',
    'management',
    'config.ts',
    'alarms.ts',
    'backup',
    'certificates.ts',
    'cluster-daemon.ts',
    'cluster-node.ts',
    'listeners.ts',
    'load-definitions.ts',
    'node-access.ts',
    'node-end.ts',
    'node-reload.ts',
    'node-tracing.ts',
    'storage.ts',
    'start-error.ts',
    'start-failure.ts',
    'token-logins.ts',
    'version.ts',
    'webhooks.ts',
  ],
  embedded: ['base', 'client', 'daemon.ts', 'config.ts', 'start-error.ts'],
  'testing.ts': ['base'],
  'index.ts': ['base', 'embedded', 'client', 'start-error.ts', 'version.ts'],
  cli: [
    'base',
    'client',
    'backup',
    'daemon.ts',
    'config.ts',
    'config',
    'version.ts',
    'data-directory.ts',
    'start-error.ts',
    'log/file/fsck.ts',
    'log/file/data-directory-lock.ts',
    'log/file/log-directories.ts',
  ],
}

/** Packages that are not Node's, and the only places that may load them. */
export const packageTable: Readonly<Record<string, readonly string[]>> = {
  'smol-toml': ['config/toml-source.ts'],
  commander: ['cli'],
  pino: ['cli'],
  jose: ['oauth'],
  '@cloudamqp/amqp-client': ['client/driver'],
  '@opentelemetry/api': ['client/telemetry.ts'],
  hono: ['management/api'],
  '@hono/node-server': ['management/api'],
  ws: ['management'],
  preact: ['ui'],
  uplot: ['ui'],
  '@nats-io/transport-node': ['cluster/nats', 'log/jetstream'],
  '@nats-io/jetstream': ['cluster/nats', 'log/jetstream'],
  '@nats-io/kv': ['cluster/nats'],
}

/** Modules that do I/O or look at the machine: only behind the interfaces of `base`, or where a line here says so. */
export const guardedModules =
  /^node:(fs|fs\/promises|net|tls|dgram|dns|http|https|http2|os|child_process|worker_threads|timers|timers\/promises|perf_hooks)$/

export const guardedModulePlaces: Readonly<Record<string, readonly string[]>> = {
  base: [
    ...['node:fs', 'node:fs/promises', 'node:net', 'node:tls', 'node:os', 'node:perf_hooks', 'node:child_process'],
    ...['node:dns', 'node:http', 'node:https'],
  ],
  cli: ['node:fs'],
  // The command of `warren consume --exec`.
  'cli/client/message-command.ts': ['node:child_process'],
  // Listens with `net`, so that `http` need not be loaded before somebody comes.
  'management/http-server.ts': ['node:http', 'node:net'],
  'management/metrics/metrics-server.ts': ['node:http'],
  'management/web-socket-upgrades.ts': ['node:http'],
  'management/dashboard-files.ts': ['node:fs/promises', 'node:http'],
  // For the form of requests only.
  'management/api/api.ts': ['node:http'],
  'http-api.ts': ['node:http'],
  // For the form of addresses, and which of them belong together.
  'config/webhook-settings.ts': ['node:net'],
  'webhook/address-check.ts': ['node:net'],
  'client/driver/node-dial.ts': ['node:net', 'node:tls'],
  // The lock is a listening socket: there is no other way to hold one in Node that dies with the process.
  'log/file/data-directory-lock.ts': ['node:net', 'node:fs', 'node:fs/promises'],
  // Writes the generated codec; runs in the build only.
  'amqp/spec/generate-methods.ts': ['node:fs'],
}

export interface BannedPattern {
  readonly name: string
  readonly pattern: RegExp
  /** Folders or files of the repository it holds for. */
  readonly in: readonly string[]
  readonly except: readonly string[]
  readonly instead: string
  /** Comments are searched too. */
  readonly alsoInComments?: true
}

export const bannedPatterns: readonly BannedPattern[] = [
  {
    name: 'Date.now',
    pattern: /\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b|\bprocess\.hrtime\b/,
    in: ['src'],
    except: ['src/base/clock.ts', 'src/base/waiting-clock.ts', 'src/cli', 'src/ui/core/time.ts'],
    instead: 'take a `Clock` (src/base/clock.ts): `now()` for people, `monotonic()` for intervals',
  },
  {
    name: 'setTimeout',
    pattern: /(?<![.\w])(setTimeout|setInterval|setImmediate|queueMicrotask)\b|\bprocess\.nextTick\b/,
    in: ['src'],
    except: ['src/base', 'src/ui/core/time.ts'],
    instead: 'take a `Clock` (src/base/clock.ts): `after(ms, …)` or `soon(…)`, or a `RunQueue` for long work',
  },
  {
    name: 'Math.random',
    pattern: /\bMath\.random\b|\b(randomBytes|randomUUID|randomInt|randomFillSync|getRandomValues)\b/,
    in: ['src'],
    // The lock's name must be unlike any other on the machine, whatever seed a simulation runs with.
    except: ['src/base/random.ts', 'src/base/web-random.ts', 'src/log/file/data-directory-lock.ts'],
    instead: 'take a `Random` (src/base/random.ts), so that a seed replays it',
  },
  {
    name: 'process.env',
    pattern: /\bprocess\.env\b/,
    in: ['src'],
    // A child inherits ours.
    except: ['src/config.ts', 'src/base/system-child-processes.ts'],
    instead: 'add an option (src/config/options.ts) and take its value',
  },
  {
    name: 'process.exit',
    pattern: /\bprocess\.(exit|exitCode|on|once|kill|abort)\b/,
    in: ['src'],
    except: ['src/cli', 'src/base/system-child-processes.ts'],
    instead: 'throw or report to the owner; only `src/cli` ends the process',
  },
  {
    name: 'console',
    pattern: /\bconsole\.|\bprocess\.(stdout|stderr)\b/,
    in: ['src'],
    except: ['src/cli', 'src/amqp/spec'],
    instead: 'take a `Logger` (src/base/logger.ts); printing is for src/cli',
  },
  {
    name: 'any',
    pattern: /(?<=[:<|&(,]\s?|\bas )any\b(?=[\s,;)>|&\][=]|$)/,
    in: ['src', 'test', 'bench'],
    except: [],
    instead: 'use `unknown` and parse it once into a type',
  },
  {
    name: 'non-null assertion',
    pattern: /[\w)\]]!(?=[.;,)\][(\s])(?!\s*=)/,
    in: ['src', 'test', 'bench'],
    except: [],
    instead: 'handle the missing value, or `assert` it with a sentence',
  },
  {
    name: 'compiler silenced',
    pattern: /@ts-(ignore|expect-error|nocheck)|biome-ignore(?!\s+lint\/\S+: \S)/,
    in: ['src', 'test', 'bench'],
    // What must not compile, of the client's types.
    except: ['test/tidy', 'test/unit/client/must-not-compile.ts', 'test/unit/client/calls-must-not-compile.ts'],
    instead: 'mend the type; a needed `biome-ignore` names its rule and its reason',
    alsoInComments: true,
  },
  {
    name: 'left-over',
    pattern: /\b(TODO|FIXME|XXX|HACK)\b/,
    in: ['src', 'test', 'bench', 'scripts', 'examples'],
    except: ['test/tidy'],
    instead: 'do it now, or write what is missing into the documentation as a limit',
    alsoInComments: true,
  },
  {
    name: 'left-over .only or skip',
    pattern: /\b(describe|it|test|suite)\.(only|skip|todo)\b|\b(only|skip|todo): *true\b/,
    in: ['test'],
    except: ['test/tidy'],
    instead: 'run the whole file, or delete the test',
  },
  {
    name: 'text taken for markup',
    pattern:
      /\b(innerHTML|outerHTML|insertAdjacentHTML|dangerouslySetInnerHTML|srcdoc|document\.write|DOMParser|eval)\b/,
    in: ['src'],
    except: [],
    instead: 'let Preact write it: what users name is text, never markup or code',
  },
]

export const fileLinesMax = 400

/** Tests may be longer: each file is a process, so few larger ones are faster. */
export const testFileLinesMax = 700

/** Files that are longer than that, with the length they may not exceed. Numbers only go down. */
export const fileLinesRatchet: Readonly<Record<string, number>> = {}

export const functionLinesMax = 70

/** Functions of `src` that are longer, as `file` → how many of them. Numbers only go down. */
export const longFunctionsRatchet: Readonly<Record<string, number>> = {}

/** Names that say nothing about what is inside. */
export const emptyFileNames = /(^|\/|-)(utils?|helpers?|types|misc|common|manager)\.tsx?$/
