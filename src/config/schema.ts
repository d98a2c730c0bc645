/**
 * The zod schema of all options, made from their description. Its own module because loading zod takes a good part of
 * a start: `config.ts` imports it only when there is a value to check.
 */
import { z } from 'zod'
import { byteUnits, durationUnits, type Kind, type Option, parseMeasure, type Units } from './option.ts'

/** What is wrong with a value, or that a key does not exist; `key` is the dotted path. */
export type Problem = { readonly key: string; readonly isUnknown: boolean }

export type Checked = { readonly values: ReadonlyMap<string, unknown> } | { readonly problems: readonly Problem[] }

/** Checks values by dotted key. A key that no option has is a problem like a value that does not fit. */
export function check(options: readonly Option<unknown>[], values: ReadonlyMap<string, unknown>): Checked {
  const shape = Object.fromEntries(options.map((option) => [option.key, schemaOf(option.kind).optional()]))
  const result = z.strictObject(shape).safeParse(Object.fromEntries(values))
  if (result.success) return { values: new Map(Object.entries(result.data)) }
  return { problems: result.error.issues.flatMap(problemsOf) }
}

function problemsOf(issue: z.core.$ZodIssue): Problem[] {
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => ({ key, isUnknown: true }))
  return [{ key: String(issue.path[0]), isUnknown: false }]
}

function schemaOf(kind: Kind): z.ZodType {
  switch (kind.type) {
    case 'integer':
      return z.int().min(kind.min).max(kind.max)
    case 'fraction':
      return z.number().min(kind.min).max(kind.max)
    case 'bytes':
      return z.union([z.int(), measure(byteUnits)]).pipe(z.int().min(kind.min).max(kind.max))
    case 'duration':
      return measure(durationUnits).pipe(z.int().min(kind.min).max(kind.max))
    case 'choice':
      return z.enum(kind.values)
    case 'text':
      return z.string().min(1)
  }
}

function measure(units: Units): z.ZodType<number> {
  return z.string().transform((written, context) => {
    const value = parseMeasure(written, units)
    if (value !== null) return value
    context.addIssue({ code: 'custom', message: 'not a number with a unit' })
    return z.NEVER
  })
}
