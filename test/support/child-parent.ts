/**
 * A process that has a child and can be killed: what to do is the JSON of the first argument (`ParentOrders`). Prints
 * `child PID` when the child has its process, and `ended` when that is over.
 */
import type { ChildEvents, OrphanRules } from '../../src/base/child-processes.ts'
import { SystemChildProcesses } from '../../src/base/system-child-processes.ts'

export interface ParentOrders {
  readonly orphan: OrphanRules
  readonly start?: { readonly program: string; readonly args: readonly string[]; readonly isHeld: boolean }
  readonly adopt?: { readonly pid: number; readonly identity: string }
}

const { start, adopt, orphan } = JSON.parse(process.argv[2] ?? '') as ParentOrders
const processes = new SystemChildProcesses()
const events: ChildEvents = {
  spawned: (pid) => {
    console.log(`child ${pid}`)
    return start?.isHeld === true ? new Promise(() => undefined) : Promise.resolve()
  },
  line: (text) => console.log(text),
  ended: () => console.log('ended'),
}
if (start !== undefined) processes.start({ ...start, orphan }, events)
if (adopt !== undefined) {
  processes.adopt(adopt.pid, adopt.identity, orphan, events)
  console.log(`child ${adopt.pid}`)
}
setInterval(() => undefined, 1_000)
