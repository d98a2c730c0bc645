import { SystemChildProcesses } from '../../../src/base/system-child-processes.ts'
import { findNatsProgram } from '../../../src/cluster/nats/nats-program.ts'

/** Path of a nats-server that is new enough; null when there is none. `WARREN_NATS_SERVER` names one. */
export async function natsProgram(): Promise<string | null> {
  try {
    return (await findNatsProgram(new SystemChildProcesses(), process.env['WARREN_NATS_SERVER'] ?? null)).path
  } catch {
    return null
  }
}
