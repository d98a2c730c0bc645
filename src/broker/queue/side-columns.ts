/**
 * Columns of a chunk that most queues never need, each made when the first entry needs it, for all 1,024 sequences.
 * Bytes an entry: priority 1, group 4, deadline 8, due 8, place 8, failures 4, returns 1, rescheduled 1.
 */
export const chunkEntries = 1024

export class SideColumns {
  priorities: Uint8Array | null = null
  groups: Uint32Array | null = null
  deadlines: Float64Array | null = null
  dues: Float64Array | null = null
  places: Float64Array | null = null
  failures: Uint32Array | null = null
  returns: Uint8Array | null = null
  rescheduled: Uint8Array | null = null

  setPriority(index: number, priority: number): void {
    if (priority === 0 && this.priorities === null) return
    this.priorities ??= new Uint8Array(chunkEntries)
    this.priorities[index] = priority
  }

  setGroup(index: number, group: number): void {
    this.groups ??= new Uint32Array(chunkEntries)
    this.groups[index] = group
  }

  setDeadline(index: number, deadline: number): void {
    this.deadlines ??= new Float64Array(chunkEntries)
    this.deadlines[index] = deadline
  }

  setDue(index: number, dueAt: number): void {
    this.dues ??= new Float64Array(chunkEntries)
    this.dues[index] = dueAt
  }

  setPlace(index: number, key: number): void {
    this.places ??= new Float64Array(chunkEntries)
    this.places[index] = key
  }

  setRescheduled(index: number): void {
    this.rescheduled ??= new Uint8Array(chunkEntries)
    this.rescheduled[index] = 1
  }

  setFailures(index: number, count: number): void {
    this.failures ??= new Uint32Array(chunkEntries)
    this.failures[index] = count
  }

  addReturn(index: number): void {
    this.returns ??= new Uint8Array(chunkEntries)
    this.returns[index] = Math.min(255, (this.returns[index] as number) + 1)
  }

  get memoryBytes(): number {
    const { priorities, groups, deadlines, dues, places, failures, returns, rescheduled } = this
    const columns = [priorities, groups, deadlines, dues, places, failures, returns, rescheduled]
    return columns.reduce((sum, column) => sum + (column?.byteLength ?? 0), 0)
  }
}
