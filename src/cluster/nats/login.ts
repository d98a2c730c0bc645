/**
 * How a connection logs in to NATS. What stands in a file is read at the start, and again whenever the connection is lost:
 * who renews credentials writes the file anew and restarts nothing. Secrets go from here to the server and nowhere else.
 */
import type { Authenticator, NodeConnectionOptions } from '@nats-io/transport-node'
import type { Files } from '../../base/files.ts'
import { errorName, StartError } from '../../start-error.ts'
import type { NatsLogin } from './settings.ts'
import { readSmallFile } from './small-file.ts'

type LoginOptions = Pick<NodeConnectionOptions, 'user' | 'pass' | 'token' | 'authenticator'>
type MakeAuthenticator = (bytes: () => Uint8Array) => Authenticator

export class Login {
  readonly options: LoginOptions
  readonly #refresh: () => Promise<void>

  private constructor(options: LoginOptions, refresh: () => Promise<void> = () => Promise.resolve()) {
    this.options = options
    this.#refresh = refresh
  }

  /** Rejects with `StartError` when a file cannot be used. */
  static async open(login: NatsLogin, files: Files): Promise<Login> {
    const { credentialsFile, nkeyFile, user, password, token } = login
    const { credsAuthenticator, nkeyAuthenticator } = await import('@nats-io/transport-node')
    if (credentialsFile !== null)
      return await Login.#ofFile(credentialsFile, files, credsAuthenticator, kinds.credentials)
    if (nkeyFile !== null) return await Login.#ofFile(nkeyFile, files, nkeyAuthenticator, kinds.nkey)
    if (user !== null) return new Login({ user, pass: password ?? '' })
    return new Login(token === null ? {} : { token })
  }

  static async #ofFile(path: string, files: Files, make: MakeAuthenticator, kind: FileKind): Promise<Login> {
    let bytes: Uint8Array
    const authenticator = make(() => bytes)
    const read = async (): Promise<void> => {
      const read = Buffer.from((await readSmallFile(files, path)).trim() + kind.ending)
      make(() => read)('nonce')
      bytes = read
    }
    try {
      await read()
    } catch (error) {
      throw new StartError('cluster', `the file ${path} cannot be used (${reason(error)}); ${kind.mend}`, error)
    }
    // While a file is being written anew the old one goes on being used.
    return new Login({ authenticator }, () => read().catch(() => undefined))
  }

  /** Reads the file again, if there is one: the next attempt to connect uses what stands there then. Never rejects. */
  refresh(): Promise<void> {
    return this.#refresh()
  }
}

interface FileKind {
  /** What the reader of such files wants behind the text. */
  readonly ending: string
  readonly mend: string
}

const kinds = {
  credentials: {
    ending: '\n',
    mend: 'give nats-credentials, or nats-system-credentials, a credentials file that this user may read',
  },
  nkey: {
    ending: '',
    mend: 'give nats-nkey, or nats-system-nkey, a file with the seed of a user (`SU…`) and nothing else that this user may read',
  },
} as const satisfies Record<string, FileKind>

/** Of the system, or that it is no such file; never what stands in it. */
function reason(error: unknown): string {
  return error instanceof Error && 'syscall' in error ? errorName(error) : 'it is none of that kind'
}
