/**
 * The configuration of a node: defaults < TOML file < environment < flags, checked once and frozen. The parts of the
 * program get the few values they need from `daemon.ts`; nothing else reads options or the environment.
 *
 * Not here: what the options are (`config/options.ts`) and how values are checked (`config/schema.ts`, which is loaded
 * only when something is set, because it costs a good part of a start).
 */
import { environmentName, expectation, type Option } from './config/option.ts'
import { type Config, options } from './config/options.ts'

export type { Config } from './config/options.ts'

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

/** Where a value was written, for errors. */
interface Setting {
  readonly value: unknown
  /** `warren.toml:3: port`, `WARREN_PORT`, `--port`. */
  readonly place: string
}

const fields = Object.entries(options) as readonly (readonly [keyof Config, Option<unknown>])[]
const optionList = fields.map(([, option]) => option)
const optionsByKey = new Map(optionList.map((option) => [option.key, option]))

/** The configuration with nothing set. For embedding and tests: `{ ...defaultConfig, port: 0 }`. */
export const defaultConfig: Config = fromValues(new Map())

export async function loadConfig(sources: ConfigSources): Promise<LoadedConfig> {
  const warnings: string[] = []
  const settings = new Map<string, Setting>()
  const file = sources.file ?? sources.environment['WARREN_CONFIG'] ?? null
  if (file !== null) await addFile(file, sources, settings)
  addEnvironment(sources.environment, settings, warnings)
  for (const [key, value] of sources.flags) settings.set(key, { value: fromText(key, value), place: `--${key}` })
  if (settings.size === 0) return { config: defaultConfig, warnings }

  const { check } = await import('./config/schema.ts')
  const checked = check(optionList, new Map(Array.from(settings, ([key, { value }]) => [key, value])))
  if ('values' in checked) return { config: fromValues(checked.values), warnings }
  throw new ConfigError(checked.problems.map(({ key, isUnknown }) => sentence(key, settings.get(key), isUnknown)))
}

/** The process's environment. The only place that looks at it. */
export function processEnvironment(): Readonly<Record<string, string | undefined>> {
  return process.env
}

// ---------------------------------------------------------------- sources

async function addFile(path: string, sources: ConfigSources, settings: Map<string, Setting>): Promise<void> {
  const { readToml, TomlSyntaxError } = await import('./config/toml-source.ts')
  try {
    const toml = readToml(sources.readText(path))
    for (const [key, value] of toml.values) settings.set(key, { value, place: `${path}:${toml.lineOf(key)}: ${key}` })
  } catch (error) {
    if (error instanceof TomlSyntaxError) {
      throw new ConfigError([
        `${path}:${error.line}:${error.column}: this is not TOML (${error.message}); write key = value, text in quotes`,
      ])
    }
    throw new ConfigError([
      `${path}: the configuration file cannot be read (${reason(error)}); give --config a file that can`,
    ])
  }
}

/**
 * Kubernetes puts `WARREN_PORT=tcp://…`, `WARREN_SERVICE_HOST` and the like into every pod when a service is named
 * warren; they mean something else and are passed over.
 */
function addEnvironment(
  environment: ConfigSources['environment'],
  settings: Map<string, Setting>,
  warnings: string[],
): void {
  const keys = new Map(optionList.map((option) => [environmentName(option.key), option.key]))
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith('WARREN_') || name === 'WARREN_CONFIG' || value === undefined) continue
    if (value.startsWith('tcp://') || /^WARREN_(SERVICE|PORT)_/.test(name)) continue
    const key = keys.get(name)
    if (key !== undefined) settings.set(key, { value: fromText(key, value), place: name })
    else addUnknownVariable(name, [...keys.keys(), 'WARREN_CONFIG'], warnings)
  }
}

/** A variable that is nearly one of ours is a slip; any other may belong to somebody else's program. */
function addUnknownVariable(name: string, known: readonly string[], warnings: string[]): void {
  const near = nearest(name, known)
  if (near !== null) throw new ConfigError([`${name}: there is no such option; did you mean ${near}?`])
  warnings.push(`${name} is set in the environment, but no option is called so; it has no effect`)
}

/** Flags and variables are text; a number is meant where the option wants one. */
function fromText(key: string, value: string): unknown {
  const type = optionsByKey.get(key)?.kind.type
  const isNumber = type === 'integer' || type === 'fraction' || type === 'bytes'
  return isNumber && /^-?\d+(\.\d+)?$/.test(value.trim()) ? Number(value) : value
}

// ---------------------------------------------------------------- results

function fromValues(values: ReadonlyMap<string, unknown>): Config {
  const entries = fields.map(([field, option]) => [field, values.get(option.key) ?? option.default])
  return Object.freeze(Object.fromEntries(entries)) as Config
}

function sentence(key: string, setting: Setting | undefined, isUnknown: boolean): string {
  const place = setting?.place ?? key
  const option = optionsByKey.get(key)
  if (!isUnknown && option !== undefined) {
    return `${place} = ${JSON.stringify(setting?.value)} does not fit; give ${expectation(option)}`
  }
  const near = nearest(key, [...optionsByKey.keys()])
  const mend = near === null ? '`warren serve --help` lists all options' : `did you mean ${near}?`
  return `${place}: there is no such option; ${mend}`
}

function reason(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error)
}

/** The known name that is at most a third away in letters changed, or the one that ends in the same last part. */
function nearest(name: string, known: readonly string[]): string | null {
  const ranked = known
    .map((other) => ({ other, distance: editDistance(name, other) }))
    .sort((a, b) => a.distance - b.distance)
  const [best] = ranked
  if (best !== undefined && best.distance <= Math.max(2, Math.floor(name.length / 4))) return best.other
  return known.find((other) => other.split('.').at(-1) === name.split('.').at(-1)) ?? null
}

/** Levenshtein's distance, with a swap of neighbours counted as one. */
function editDistance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, index) => index)]
  const at = (row: number, column: number): number => rows[row]?.[column] ?? 0
  for (let row = 1; row <= a.length; row++) {
    rows.push([row])
    for (let column = 1; column <= b.length; column++) {
      const isSame = a[row - 1] === b[column - 1]
      const isSwap = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      const steps = [at(row - 1, column) + 1, at(row, column - 1) + 1, at(row - 1, column - 1) + (isSame ? 0 : 1)]
      if (isSwap) steps.push(at(row - 2, column - 2) + 1)
      rows[row]?.push(Math.min(...steps))
    }
  }
  return at(a.length, b.length)
}
