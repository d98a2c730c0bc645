/**
 * Validators by the Standard Schema interface (https://standardschema.dev), which zod, valibot, arktype and others have.
 * Only its shape is known here; nothing is imported.
 */
import { WarrenError } from './errors.ts'

export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] }

export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

export type InputOf<S extends StandardSchema> = NonNullable<S['~standard']['types']>['input']
export type OutputOf<S extends StandardSchema> = NonNullable<S['~standard']['types']>['output']

/** The checked value; throws or rejects with `SCHEMA_FAILED`. `what` names the message. */
export function checked(
  schema: StandardSchema | null,
  value: unknown,
  what: string,
): { readonly value: unknown } | Promise<{ readonly value: unknown }> {
  if (schema === null) return { value }
  const result = schema['~standard'].validate(value)
  return result instanceof Promise ? result.then((one) => accepted(one, what)) : accepted(result, what)
}

function accepted(result: SchemaResult<unknown>, what: string): { readonly value: unknown } {
  if (result.issues === undefined) return { value: result.value }
  const issues = result.issues.map(issueText)
  const mend = 'Send what the schema asks for, or change the schema on both sides.'
  throw new WarrenError('SCHEMA_FAILED', `${what} does not match its schema (${issues.join('; ')}).`, { mend, issues })
}

function issueText({ message, path }: SchemaIssue): string {
  if (path === undefined || path.length === 0) return message
  return `${path.map((part) => String(typeof part === 'object' ? part.key : part)).join('.')}: ${message}`
}
