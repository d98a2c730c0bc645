/** Whether a nats-server that an earlier start has left is the one that this start would begin, as it says itself. */
import type { NatsConnection } from '@nats-io/transport-node'
import type { Files } from '../../base/files.ts'
import type { Logger } from '../../base/logger.ts'
import { connectNats, type NatsTarget } from './connection.ts'
import { problemsOf, readReport } from './requirements.ts'

const requestMsMax = 2_000

/**
 * Null when it may be used: it answers to a login that only it was given, has this name and version, and gives what
 * `requirements.ts` asks of it. Else why not, in words.
 */
export async function reasonAgainst(
  target: NatsTarget,
  wanted: { readonly name: string; readonly version: string },
  { files, logger }: { readonly files: Files; readonly logger: Logger },
): Promise<string | null> {
  let connection: NatsConnection | null = null
  try {
    connection = (await connectNats(target, files, logger)).connection
    const { server_name: name, server_id: id, version } = connection.info ?? {}
    if (name !== wanted.name) return `it is the server ${name}`
    if (version !== wanted.version) return `it has version ${version}`
    const answer = await connection.request(`$SYS.REQ.SERVER.${id}.VARZ`, '', { timeout: requestMsMax })
    const report = readReport(answer.json<{ readonly data?: unknown }>().data)
    return report === null ? 'it does not say how it is' : (problemsOf(report)[0] ?? null)
  } catch (error) {
    return `it does not answer (${error instanceof Error ? error.message : error})`
  } finally {
    await connection?.close().catch(() => undefined)
  }
}
