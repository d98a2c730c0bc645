import { VhostCounts } from './message-counts.ts'

/** Queues that came and went since the node started, without those that were there before. */
export class QueueChurn {
  /** Declares, also of queues that exist. */
  declared = 0
  created = 0
  deleted = 0

  add(other: QueueChurn): void {
    this.declared += other.declared
    this.created += other.created
    this.deleted += other.deleted
  }
}

/** What vhosts that are gone have counted: the node's totals never fall. */
export class FormerCounts {
  readonly messages = new VhostCounts()
  readonly churn = new QueueChurn()

  add({ counts, churn }: { readonly counts: VhostCounts; readonly churn: QueueChurn }): void {
    this.messages.addVhost(counts)
    this.churn.add(churn)
  }
}
