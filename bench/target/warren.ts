import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Child, freePort } from './child.ts'
import { parseHeldBytes } from './loop-log.ts'
import { readText } from './proc.ts'

const startMsMax = 60_000
const stopMsMax = 15_000
/** For an answer to a signal. */
const looksMax = 50
const lookMs = 100
const mainPath = fileURLToPath(new URL('../../bin/warren.js', import.meta.url))
const hookUrl = new URL('./gc-hook.js', import.meta.url).href

/**
 * As `npm start` does: with two busy cores V8's parallel collector waits for its own helper threads, and pauses of 1 to 4 ms
 * become 5 to 40; with the old space that V8 begins with, a full collection comes each second.
 */
const startArgs = ['--single-threaded-gc', '--initial-old-space-size=256']

export interface WarrenOptions {
  /** Where its temporary data directory is made: a real disk, or a sync costs nothing. */
  readonly directory: string
  /** For Node itself, such as `--cpu-prof`. */
  readonly nodeArgs: readonly string[]
  /** For `warren serve`. */
  readonly serveArgs: readonly string[]
}

/** A `warren serve` of this build on a temporary directory and a free port, with its garbage collections logged. */
export class Warren {
  readonly url: string
  readonly gcLogPath: string
  readonly loopLogPath: string
  #child: Child
  readonly #home: string
  readonly #port: number
  readonly #start: () => Child

  static async start(options: WarrenOptions): Promise<Warren> {
    if (!existsSync(mainPath)) throw new Error(`${mainPath} is not built: run 'npm run build', or give --url`)
    const home = await mkdtemp(join(options.directory, 'warren-bench-'))
    const port = await freePort()
    const gcLogPath = join(home, 'gc.log')
    const loopLogPath = join(home, 'loop.log')
    const serve = ['serve', '--host', '127.0.0.1', '--port', String(port), '--data', join(home, 'data')]
    const start = (): Child =>
      new Child({
        name: 'warren serve',
        command: process.execPath,
        args: [...startArgs, ...options.nodeArgs, '--import', hookUrl, mainPath, ...serve, ...options.serveArgs],
        env: { ...process.env, WARREN_HTTP_PORT: 'none', BENCH_GC_LOG: gcLogPath, BENCH_LOOP_LOG: loopLogPath },
        cwd: process.cwd(),
        logPath: join(home, 'output.log'),
        stopMsMax,
      })
    const warren = new Warren(start, home, port, { gcLogPath, loopLogPath })
    await warren.#child.listening(port, startMsMax).catch(async (error) => {
      await warren.stop()
      throw error
    })
    return warren
  }

  private constructor(
    start: () => Child,
    home: string,
    port: number,
    logs: { gcLogPath: string; loopLogPath: string },
  ) {
    this.#start = start
    this.#child = start()
    this.#port = port
    this.#home = home
    this.gcLogPath = logs.gcLogPath
    this.loopLogPath = logs.loopLogPath
    this.url = `amqp://guest:guest@127.0.0.1:${port}`
  }

  get isRunning(): boolean {
    return this.#child.isRunning
  }

  get output(): string {
    return this.#child.output()
  }

  /** Kills it and starts it again. Returns the milliseconds until it listens. */
  async restart(): Promise<number> {
    await this.#child.kill()
    const from = performance.now()
    this.#child = this.#start()
    await this.#child.listening(this.#port, startMsMax)
    return performance.now() - from
  }

  /** Heap and buffers after a full collection; null when it does not answer in time. */
  async heldBytes(): Promise<number | null> {
    this.#child.signal('SIGUSR2')
    for (let looks = 0; looks < looksMax; looks++) {
      await new Promise((resolve) => setTimeout(resolve, lookMs))
      const bytes = parseHeldBytes(readText(this.loopLogPath) ?? '')
      if (bytes !== null) return bytes
    }
    return null
  }

  async stop(): Promise<void> {
    await this.#child.stop()
    await rm(this.#home, { recursive: true, force: true })
  }
}
