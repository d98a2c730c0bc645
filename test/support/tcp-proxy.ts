/**
 * A TCP relay between a client and a broker whose wires a test can cut: all at once, silently (a half-open peer), or for
 * newcomers only. It reads nothing of what it passes on.
 */
import * as net from 'node:net'

export class TcpProxy {
  /** Where new connections go. */
  target: { readonly host: string; readonly port: number }
  readonly port: number
  readonly #server: net.Server
  readonly #pairs = new Set<{ near: net.Socket; far: net.Socket }>()
  #isRefusing = false
  #isFrozen = false
  /** Connections so far. */
  acceptedCount = 0

  private constructor(server: net.Server, port: number, target: { host: string; port: number }) {
    this.#server = server
    this.port = port
    this.target = target
    server.on('connection', (near) => this.#accepted(near))
  }

  static async start(target: { host: string; port: number }): Promise<TcpProxy> {
    const server = net.createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    return new TcpProxy(server, address.port, target)
  }

  /** The broker's URL, by way of this proxy. */
  urlOf(brokerUrl: string): string {
    const url = new URL(brokerUrl)
    url.hostname = '127.0.0.1'
    url.port = String(this.port)
    return url.href
  }

  get openCount(): number {
    return this.#pairs.size
  }

  /** Resets all connections. */
  cut(): void {
    for (const { near, far } of this.#pairs) {
      near.resetAndDestroy()
      far.destroy()
    }
  }

  /** Connections that come are reset, until `accept`. */
  refuse(): void {
    this.#isRefusing = true
  }

  accept(): void {
    this.#isRefusing = false
  }

  /** From now on nothing passes, in neither direction, and nobody is told; new connections too. */
  freeze(): void {
    this.#isFrozen = true
    for (const { near, far } of this.#pairs) {
      near.pause()
      far.pause()
    }
  }

  /** New connections pass again; frozen ones stay as they are. */
  thaw(): void {
    this.#isFrozen = false
  }

  async stop(): Promise<void> {
    this.cut()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #accepted(near: net.Socket): void {
    this.acceptedCount++
    if (this.#isRefusing) {
      near.resetAndDestroy()
      return
    }
    const far = net.connect(this.target)
    const pair = { near, far }
    this.#pairs.add(pair)
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.setNoDelay(true)
      from.on('error', () => undefined)
      from.on('data', (chunk) => {
        if (!to.destroyed && !to.write(chunk)) from.pause()
      })
      from.on('drain', () => {
        if (!this.#isFrozen) to.resume()
      })
      from.on('close', () => {
        to.destroy()
        this.#pairs.delete(pair)
      })
    }
    if (this.#isFrozen) {
      near.pause()
      far.pause()
    }
  }
}
