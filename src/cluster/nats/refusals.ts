/** What NATS refuses for good, told from what passes: each is a sentence that says what to mend. */
import { JetStreamApiError } from '@nats-io/jetstream'
import { PermissionViolationError } from '@nats-io/transport-node'
import { StartError } from '../../start-error.ts'
import type { NatsTarget } from './connection.ts'

/** A login that loses its place while servers restart is tried again; one that is refused will be refused again. */
const loginRefusals = /authorization|authentication|account expired/i

export function isLoginRefused(error: unknown): boolean {
  return error instanceof Error && loginRefusals.test(`${error.name} ${error.message}`)
}

export function loginRefusedSentence({ servers, name }: Pick<NatsTarget, 'servers' | 'name'>): string {
  const options = name.endsWith('checks')
    ? 'nats-system-credentials, nats-system-nkey or nats-system-user'
    : 'nats-credentials, nats-nkey, nats-user, nats-token or nats-tls-cert'
  return `the NATS servers ${servers.join(', ')} refuse the login; correct ${options}`
}

/** A right that the user lacks; null when it is something else. */
export function deniedSentence(error: unknown): string | null {
  const denied = deniedOf(error)
  if (denied === null) return null
  const what = denied.operation === 'publish' ? 'publish to' : 'subscribe to'
  return `the user of the NATS login may not ${what} '${denied.subject}'; allow it in the user's permissions`
}

function deniedOf(error: unknown): PermissionViolationError | null {
  if (error instanceof PermissionViolationError) return error
  return error instanceof Error && error.cause instanceof PermissionViolationError ? error.cause : null
}

const accountMend = 'nobody but Warren should use the account: raise its limits, or take them off'

/** JetStream's codes for what an account is not given. */
const accountRefusals: Readonly<Record<number, string>> = {
  10026: `the account of the NATS login may have no more consumers; ${accountMend}`,
  10027: `the account of the NATS login may have no more streams; ${accountMend}`,
  10076: 'the NATS servers that one is connected to have no JetStream; turn it on, or give nats-domain',
  10035: 'the account of the NATS login has no JetStream; enable it for the account',
  10039: 'the account of the NATS login has no JetStream; enable it for the account',
  10113: `the account of the NATS login demands max_bytes of each stream, and one of ours has none; ${accountMend}`,
  10120: `the account of the NATS login has no JetStream for so many copies; give it a limit for that tier, or change cluster-replicas`,
}

/** A sentence on why the account or its user cannot store what we need; null when trying again may help. */
export function accountRefusal(error: unknown): string | null {
  const refused = error instanceof Error && error.cause instanceof JetStreamApiError ? error.cause : error
  return refused instanceof JetStreamApiError ? (accountRefusals[refused.code] ?? null) : deniedSentence(error)
}

/** What NATS did not do for us until the time of a start was over, or refused for good: with `known`, if that says it, else a sentence of ours. */
export function cannotStore(error: unknown, known: string | null = null): StartError {
  if (error instanceof StartError) return error
  const why = error instanceof Error ? error.message : String(error)
  const sentence = `the NATS servers do not store what the nodes need (${why}); see that all of them run and have room`
  return new StartError('cluster', known ?? accountRefusal(error) ?? sentence, error)
}
