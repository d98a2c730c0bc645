import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Task } from './worker.ts'

const workerProgram = fileURLToPath(new URL('worker.js', import.meta.url))
/** How long workers may take to end, and a drain; a slow machine with a full queue needs more than a minute. */
const finishMsMax = 180_000

/** A worker's process. */
export class WorkerProcess {
  readonly #name: string
  readonly #child: ChildProcess
  readonly #ended: Promise<number | null>
  #stderr = ''

  constructor(task: Task) {
    this.#name = `${task.role} ${task.name}`
    const child = spawn(process.execPath, [workerProgram, JSON.stringify(task)], { stdio: ['pipe', 'inherit', 'pipe'] })
    this.#child = child
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text
    })
    this.#ended = new Promise((resolve) => child.once('close', resolve))
  }

  mustRun(): void {
    const { exitCode, signalCode } = this.#child
    assert.ok(
      exitCode === null && signalCode === null,
      `worker ${this.#name} ended (${exitCode ?? signalCode}): ${this.#stderr}`,
    )
  }

  /** Tells it to finish, and waits. */
  async finish(): Promise<void> {
    this.mustRun()
    this.#child.stdin?.end()
    await this.end()
  }

  async end(): Promise<void> {
    const timer = setTimeout(() => this.kill(), finishMsMax)
    const code = await this.#ended
    clearTimeout(timer)
    assert.equal(code, 0, `worker ${this.#name} did not finish in order: ${this.#stderr}`)
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }
}
