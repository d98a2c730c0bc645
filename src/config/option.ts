/**
 * What an option is: its key, its default and which values it takes. Pure description, nothing is checked here
 * (`check.ts` does) and nothing is read (`config.ts` does).
 */

/** One setting of type `T`. `key` is its path in a TOML file; flag and environment variable follow from it. */
export interface Option<T> {
  readonly key: string
  readonly kind: Kind
  readonly default: T
  /** The default as a person would write it. */
  readonly defaultText: string
  /** What it is and what happens at the limit, in a sentence. */
  readonly about: string
}

export type Kind =
  | { readonly type: 'integer'; readonly min: number; readonly max: number }
  | { readonly type: 'port' }
  | { readonly type: 'fraction'; readonly min: number; readonly max: number }
  | { readonly type: 'bytes'; readonly min: number; readonly max: number }
  | { readonly type: 'duration'; readonly min: number; readonly max: number }
  | { readonly type: 'choice'; readonly values: readonly string[] }
  | { readonly type: 'text'; readonly expects: string; readonly example: string }

interface Range<T> {
  readonly default: T
  readonly min: T
  readonly max: T
}

export function integer(key: string, range: Range<number>, about: string): Option<number> {
  const { default: value, min, max } = range
  return { key, kind: { type: 'integer', min, max }, default: value, defaultText: String(value), about }
}

/** A TCP port, 0 for a free one, or `none` for none. */
export function port(key: string, value: number | 'none', about: string): Option<number | 'none'> {
  return { key, kind: { type: 'port' }, default: value, defaultText: String(value), about }
}

export function fraction(key: string, range: Range<number>, about: string): Option<number> {
  const { default: value, min, max } = range
  return { key, kind: { type: 'fraction', min, max }, default: value, defaultText: String(value), about }
}

/** A size in bytes; written as a whole number of bytes or as "64MiB". */
export function bytes(key: string, range: Range<string>, about: string): Option<number> {
  return measure('bytes', byteUnits, key, range, about)
}

/** A time in milliseconds; written with its unit, as "10s". A bare number is refused: of what? */
export function duration(key: string, range: Range<string>, about: string): Option<number> {
  return measure('duration', durationUnits, key, range, about)
}

export function choice<const V extends string>(
  key: string,
  values: readonly V[],
  value: NoInfer<V>,
  about: string,
): Option<V> {
  return { key, kind: { type: 'choice', values }, default: value, defaultText: value, about }
}

export function text(key: string, value: string, expects: string, about: string): Option<string> {
  return { key, kind: { type: 'text', expects, example: value }, default: value, defaultText: value, about }
}

/** A text that is `none` unless somebody gives one. */
export function unset(key: string, expects: string, example: string, about: string): Option<string> {
  return { key, kind: { type: 'text', expects, example }, default: 'none', defaultText: 'none', about }
}

// ---------------------------------------------------------------- units

export const byteUnits: Units = {
  B: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
}

export const durationUnits: Units = { ms: 1, s: 1_000, min: 60_000, h: 3_600_000 }

export type Units = Readonly<Record<string, number>>

/** The number that "64MiB" or "1.5 s" means in the smallest unit; null when it is not written so. */
export function parseMeasure(written: string, units: Units): number | null {
  const match = /^(\d+(?:\.\d+)?) ?([A-Za-z]+)$/.exec(written.trim())
  const factor = units[match?.[2] ?? '']
  return match === null || factor === undefined ? null : Math.round(Number(match[1]) * factor)
}

/** The shortest exact way to write a number of bytes or milliseconds. */
export function formatMeasure(value: number, units: Units): string {
  let best = ['', 1] as [string, number]
  for (const unit of Object.entries(units)) {
    if ((best[0] === '' && unit[1] === 1) || (value !== 0 && value % unit[1] === 0 && unit[1] > best[1])) best = unit
  }
  return `${value / best[1]}${best[0]}`
}

// ---------------------------------------------------------------- words

/** Completes "give …": what the option takes, and an example. */
export function expectation(option: Option<unknown>): string {
  const { kind } = option
  switch (kind.type) {
    case 'integer':
      return `a whole number from ${kind.min} to ${kind.max}, such as ${option.defaultText}`
    case 'port':
      return `a whole number from 0 to 65535 or "none", such as ${option.defaultText}`
    case 'fraction':
      return `a number from ${kind.min} to ${kind.max}, such as ${option.defaultText}`
    case 'bytes':
      return `a size from ${formatMeasure(kind.min, byteUnits)} to ${formatMeasure(kind.max, byteUnits)}, such as "${option.defaultText}"`
    case 'duration':
      return `a time from ${formatMeasure(kind.min, durationUnits)} to ${formatMeasure(kind.max, durationUnits)}, such as "${option.defaultText}"`
    case 'choice':
      return `one of ${kind.values.map((value) => `"${value}"`).join(', ')}`
    case 'text':
      return `${kind.expects}, such as "${kind.example}"`
  }
}

/** `limits.frame-size` → `WARREN_LIMITS_FRAME_SIZE`. */
export function environmentName(key: string): string {
  return `WARREN_${key.toUpperCase().replace(/[.-]/g, '_')}`
}

function measure(
  type: 'bytes' | 'duration',
  units: Units,
  key: string,
  range: Range<string>,
  about: string,
): Option<number> {
  const [value, min, max] = [range.default, range.min, range.max].map((written) => parseMeasure(written, units) ?? NaN)
  if (value === undefined || min === undefined || max === undefined || Number.isNaN(value + min + max)) {
    throw new TypeError(`the range of option ${key} is not written as a ${type}`)
  }
  return { key, kind: { type, min, max }, default: value, defaultText: range.default, about }
}
