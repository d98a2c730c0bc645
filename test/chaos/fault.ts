/** What is done to a cluster, and undone again. */
import type { Dice } from '../crash/dice.ts'
import type { ClusterNode, ClusterProcesses } from '../support/cluster/cluster-processes.ts'

export interface Fault {
  readonly name: string
  /** Only where nodes have networks of their own. */
  readonly needsNetworks?: boolean
  /** Does it. */
  begin(cluster: ClusterProcesses, dice: Dice): Promise<Hit>
}

export interface Hit {
  readonly nodes: readonly ClusterNode[]
  /** Nothing is asked of these nodes as long as it lasts. */
  readonly isOut: boolean
  /** The others must serve everything within the time for taking over, though it lasts. */
  readonly isTakenOver: boolean
  /** For the timeline. */
  readonly detail?: string
  /** Undoes it; resolves when the processes are there again. Faults of one moment are healed at once. */
  heal(): Promise<void>
}
