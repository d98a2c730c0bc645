/**
 * One process of the kill loop: some publishers, some consumers, or the drain at the end. Started with its task as JSON;
 * told to finish by the end of its standard input. Ends with status 0 when all of its actors have.
 */
import { join } from 'node:path'
import type { Address } from '../support/amqp/raw-client.ts'
import { Consumer } from './consumer.ts'
import { Dice } from './dice.ts'
import { History } from './history.ts'
import { Publisher } from './publisher.ts'

export interface Task {
  readonly role: 'publish' | 'consume' | 'drain'
  readonly name: string
  readonly actors: number
  readonly seed: number
  readonly folder: string
  /** One broker, or the nodes of a cluster: each connection goes to one of them. */
  readonly addresses: readonly Address[]
  /** For the control: see `Publisher`. */
  readonly isLying: boolean
  /** Whatever the broker closes or cancels ends the connection, and another is made: nodes come and go. */
  readonly isTolerant: boolean
}

const task: Task = JSON.parse(process.argv[2] ?? '')
const history = new History(join(task.folder, `${task.role}-${task.name}.jsonl`))
const actors = Array.from({ length: task.actors }, (_, index) => {
  const name = `${task.name}${index}`
  const dice = new Dice(task.seed + index)
  return task.role === 'publish' ? new Publisher(name, history, dice, task) : new Consumer(name, history, dice, task)
})
if (task.role !== 'drain') {
  process.stdin.resume().on('end', () => {
    for (const actor of actors) actor.stop()
  })
}
await Promise.all(actors.map((actor) => actor.run(task.addresses)))
history.close()
process.exit(0)
