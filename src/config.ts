/**
 * The configuration of a node: defaults < TOML file < environment < flags, checked once and frozen. The parts of the
 * program get the few values they need from `daemon.ts`; nothing else reads options or the environment.
 *
 * Not here: which options there are (`config/options.ts`) and what fits them (`config/check.ts`).
 */
import { checkAccess } from './config/access-settings.ts'
import { check, checkText } from './config/check.ts'
import { checkCluster } from './config/cluster-settings.ts'
import { nearest } from './config/nearest.ts'
import { environmentName, expectation, type Option } from './config/option.ts'
import { type Config, options } from './config/options.ts'
import { traceProblems } from './config/trace-settings.ts'

export type { ClusterField } from './config/cluster-options.ts'
export { type ClusterSettings, checkCluster } from './config/cluster-settings.ts'
export { readLogLevels } from './config/log-settings.ts'
export type { Config } from './config/options.ts'
export { readTraceHeaders } from './config/trace-settings.ts'
export { readAllowedTargets } from './config/webhook-settings.ts'

/** Each problem is one sentence that names place, key, value and what to do instead. */
export class ConfigError extends Error {
  readonly code = 'CONFIG_INVALID'
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.problems = problems
  }
}

export interface ConfigSources {
  /** Path of the TOML file; null for none. `WARREN_CONFIG` names one as well. */
  readonly file: string | null
  /** Values from the command line by key, as they were typed. */
  readonly flags: ReadonlyMap<string, string>
  readonly environment: Readonly<Record<string, string | undefined>>
  readText(path: string): string
}

export interface LoadedConfig {
  readonly config: Config
  /** Things that look wrong but stop nothing, as sentences. */
  readonly warnings: readonly string[]
}

const fields = Object.entries(options) as readonly (readonly [keyof Config, Option<unknown>])[]
const optionsByKey = new Map(fields.map(([, option]) => [option.key, option]))
const keysByVariable = new Map(fields.map(([, { key }]) => [environmentName(key), key]))

/** Not options of the broker: where the file is, and where the other commands of `warren` find a broker. */
const otherVariables: ReadonlySet<string> = new Set(['WARREN_CONFIG', 'WARREN_URL', 'WARREN_HTTP'])

/** The configuration with nothing set. For embedding and tests: `{ ...defaultConfig, port: 0 }`. */
export const defaultConfig: Config = fromValues(new Map())

export async function loadConfig(sources: ConfigSources): Promise<LoadedConfig> {
  const loading = new Loading()
  const file = sources.file ?? sources.environment['WARREN_CONFIG'] ?? null
  if (file !== null) await loading.addFile(file, sources)
  loading.addEnvironment(sources.environment)
  for (const [key, text] of sources.flags) loading.add(key, text, `--${key}`, checkText)
  const config = fromValues(loading.values)
  const problems = loading.problems.length > 0 ? loading.problems : problemsOf(config)
  if (problems.length > 0) throw new ConfigError(problems)
  return { config, warnings: loading.warnings }
}

/** The process's environment. The only place that looks at it. */
export function processEnvironment(): Readonly<Record<string, string | undefined>> {
  return process.env
}

/** The defaults with other values, in the program's own units: for those who start a node from a program. */
export function configWith(given: Partial<Config>): Config {
  const values = new Map<string, unknown>()
  const problems: string[] = []
  for (const [field, value] of Object.entries(given)) {
    if (value === undefined) continue
    const option = fields.find(([name]) => name === field)?.[1]
    const near = nearest(field, [...fields.map(([name]) => name)])
    if (option === undefined)
      problems.push(`${field}: there is no such option${near === null ? '' : `; did you mean ${near}?`}`)
    else if (fits(option, value)) values.set(option.key, value)
    else problems.push(`${field} = ${JSON.stringify(value)} does not fit; give ${expectation(option)}`)
  }
  const config = fromValues(values)
  if (problems.length === 0) problems.push(...problemsOf(config))
  if (problems.length > 0) throw new ConfigError(problems)
  return config
}

/** `port` → `port`, `messageBytesMax` → `limits.message-size`. */
export function optionKey(field: keyof Config): string {
  return options[field].key
}

/** What does not fit together. */
function problemsOf(config: Config): readonly string[] {
  return [...checkAccess(config), ...traceProblems(config), ...checkCluster(config).problems]
}

/** Times are milliseconds here, which a file would have to write with their unit. */
function fits({ kind }: Option<unknown>, value: unknown): boolean {
  return kind.type === 'duration' ? check({ ...kind, type: 'integer' }, value) !== null : check(kind, value) === value
}

function fromValues(values: ReadonlyMap<string, unknown>): Config {
  const entries = fields.map(([field, option]) => [field, values.get(option.key) ?? option.default])
  return Object.freeze(Object.fromEntries(entries)) as Config
}

/** What the sources gave so far. A problem is one even if a later source says something else. */
class Loading {
  readonly values = new Map<string, unknown>()
  readonly problems: string[] = []
  readonly warnings: string[] = []

  /** `place` is where the value was written: `warren.toml:3: port`, `WARREN_PORT`, `--port`. */
  add<T>(
    key: string,
    written: T,
    place: string,
    checkOne: (kind: Option<unknown>['kind'], written: T) => unknown,
  ): void {
    const option = optionsByKey.get(key)
    if (option === undefined) {
      const near = nearest(key, [...optionsByKey.keys()])
      const mend = near === null ? '`warren serve --help` lists all options' : `did you mean ${near}?`
      this.problems.push(`${place}: there is no such option; ${mend}`)
      return
    }
    const value = checkOne(option.kind, written)
    if (value !== null) this.values.set(key, value)
    else this.problems.push(`${place} = ${JSON.stringify(written)} does not fit; give ${expectation(option)}`)
  }

  async addFile(path: string, sources: ConfigSources): Promise<void> {
    const { readToml, TomlSyntaxError } = await import('./config/toml-source.ts')
    try {
      const toml = readToml(sources.readText(path))
      for (const [key, value] of toml.values) this.add(key, value, `${path}:${toml.lineOf(key)}: ${key}`, check)
    } catch (error) {
      if (error instanceof TomlSyntaxError) {
        const what = `this is not TOML (${error.message}); write key = value, text in quotes`
        this.problems.push(`${path}:${error.line}:${error.column}: ${what}`)
      } else if (error instanceof Error && 'code' in error) {
        const what = `the configuration file cannot be read (${error.code}); give --config a file that can`
        this.problems.push(`${path}: ${what}`)
      } else throw error
    }
  }

  /**
   * Kubernetes puts `WARREN_PORT=tcp://…`, `WARREN_SERVICE_HOST` and the like into every pod when a service is named
   * warren; they mean something else and are passed over.
   */
  addEnvironment(environment: ConfigSources['environment']): void {
    for (const [name, text] of Object.entries(environment)) {
      if (!name.startsWith('WARREN_') || otherVariables.has(name) || text === undefined) continue
      if (text.startsWith('tcp://') || /^WARREN_(SERVICE|PORT)_/.test(name)) continue
      const key = keysByVariable.get(name)
      if (key !== undefined) this.add(key, text, name, checkText)
      else this.#addUnknownVariable(name)
    }
  }

  /** A variable that is nearly one of ours is a slip; any other may belong to somebody else's program. */
  #addUnknownVariable(name: string): void {
    const near = nearest(name, [...keysByVariable.keys(), 'WARREN_CONFIG'])
    if (near !== null) this.problems.push(`${name}: there is no such option; did you mean ${near}?`)
    else this.warnings.push(`${name} is set in the environment, but no option is called so; it has no effect`)
  }
}
