/** How what happens to a message is counted in all the places that it concerns. */
import type { Route } from '../commands.ts'
import type { Queue } from '../ports.ts'
import { countsOf, type MessageCounts, type VhostCounts } from './message-counts.ts'

/** A message that goes to the queues of a route. */
export function countPublish(vhost: VhostCounts, { queues, count, exchangeCounts }: Route, bodyBytes: number): void {
  vhost.publish++
  vhost.sizes.observe(bodyBytes)
  if (exchangeCounts !== null) {
    exchangeCounts.publishIn++
    exchangeCounts.publishOut += count
  }
  for (let index = 0; index < count; index++) countsOf((queues[index] as Queue).definition).publish++
}

/** A message that no queue is there for, and nobody else. */
export function countUnroutable(counts: MessageCounts, isReturned: boolean): void {
  if (isReturned) counts.returnUnroutable++
  else counts.dropUnroutable++
}
