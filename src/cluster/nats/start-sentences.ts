/** Why a start that has waited for NATS is given up, in words. */
import { StartError } from '../../start-error.ts'
import type { NatsTarget } from './connection.ts'
import type { CheckedServer } from './requirements.ts'

export function notReached({ servers, tls }: NatsTarget, cause: unknown): StartError {
  // What OpenSSL says ends with a line feed.
  const why = (cause instanceof Error ? cause.message : String(cause)).trim()
  const files = 'check nats-tls-ca, nats-tls-cert and nats-tls-key, and for whom the servers have certificates'
  // A server that is not shown the certificate it wants falls silent.
  const others = tls === null ? '' : `, or ${files}`
  const isTls = /tls|ssl|certificate|altname/i.test(why)
  const mend = isTls ? files : `start them, check the addresses${others}`
  const sentence = `none of the NATS servers ${servers.join(', ')} can be reached (${why}); ${mend}`
  return new StartError('cluster', sentence, cause)
}

export function notAnswered(domain: string | null, cause: unknown): StartError {
  const why = cause instanceof Error ? cause.message : String(cause)
  const where = domain === null ? '' : ` in the domain '${domain}'`
  const mend = 'enable JetStream for the account; where it is in a domain, give nats-domain'
  return new StartError('cluster', `JetStream${where} does not answer the NATS login (${why}); ${mend}`, cause)
}

export function noLeader(
  answering: readonly CheckedServer[],
  missing: readonly string[],
  msMax: number,
  trouble: string | null,
): StartError {
  const names = answering.map(({ name }) => name).join(', ')
  const who = answering.length === 0 ? 'none answers' : `only ${names} ${answering.length === 1 ? 'answers' : 'answer'}`
  const whom = missing.length === 0 ? 'the others' : missing.join(', ')
  const mend = trouble ?? `start ${whom}, and see that their ports can be reached from here`
  return new StartError('cluster', `no majority of the NATS servers after ${msMax / 1_000} s (${who}); ${mend}`)
}

export function inBrackets(text: string | null): string {
  return text === null ? '' : ` (${text})`
}

/** Who refuses the passwords that a node gave its own server is another one, on the port of that. */
export function anotherServer({ servers }: NatsTarget, cause: unknown): StartError {
  const mend = 'end it, or give this node another port in --peers of all nodes: it takes that one and the two above'
  const sentence = `another NATS server than that of this node answers at ${servers.join(', ')}; ${mend}`
  return new StartError('cluster', sentence, cause)
}
