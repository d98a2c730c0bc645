import { InvalidArgumentError } from 'commander'

/** A parser for an option that wants a whole number within bounds. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= min && value <= max) return value
    throw new InvalidArgumentError(`Give a whole number from ${min} to ${max}.`)
  }
}

/** A parser for an option that wants seconds, with a fraction perhaps. */
export function seconds(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (/^\d+(\.\d+)?$/.test(text) && value >= min && value <= max) return value
    throw new InvalidArgumentError(`Give seconds from ${min} to ${max}.`)
  }
}

/** A parser for a span of time in milliseconds: bare digits, or with a unit ('90s', '2h'). */
export function milliseconds(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|min|m|h|d)?$/.exec(text)
  const value = match === null ? Number.NaN : Number(match[1]) * (units[match[2] ?? 'ms'] ?? Number.NaN)
  if (Number.isFinite(value)) return Math.round(value)
  throw new InvalidArgumentError("Give milliseconds, or a time like '500ms', '90s', '10min', '2h' or '1d'.")
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1e3, m: 60e3, min: 60e3, h: 3600e3, d: 86_400e3 }

/** Gathers an option that may be given several times. */
export function repeated(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value]
}
