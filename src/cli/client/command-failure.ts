import { WarrenError, type WarrenErrorCode } from '../../client/errors.ts'
import { ExitCode } from '../exit-code.ts'

/** Ends a command: one sentence for people, which names the thing and the mend, and a code for scripts. */
export class CommandFailure extends Error {
  readonly code = 'COMMAND_FAILED'
  readonly exitCode: ExitCode

  constructor(exitCode: ExitCode, sentence: string) {
    super(sentence)
    this.exitCode = exitCode
  }
}

/** Wrong use: exit code 2. */
export function misuse(sentence: string): CommandFailure {
  return new CommandFailure(ExitCode.usage, sentence)
}

/** What any error becomes on the command line. */
export function failureOf(error: unknown): CommandFailure {
  if (error instanceof CommandFailure) return error
  if (error instanceof WarrenError) return new CommandFailure(exitCodeOf(error), sentenceOf(error))
  if (error instanceof Error && 'syscall' in error) return misuse(`${error.message}; give a file that can be used`)
  const text = error instanceof Error ? error.message : String(error)
  return new CommandFailure(ExitCode.failed, `something that must not happen: ${text}; please report it`)
}

function exitCodeOf({ code, replyCode }: WarrenError): ExitCode {
  if (replyCode === 404) return ExitCode.notFound
  return exitCodes[code] ?? ExitCode.refused
}

const exitCodes: { readonly [code in WarrenErrorCode]?: ExitCode } = {
  BAD_URL: ExitCode.usage,
  BAD_OPTION: ExitCode.usage,
  HOST_NOT_FOUND: ExitCode.unreachable,
  CONNECT_REFUSED: ExitCode.unreachable,
  CONNECT_TIMEOUT: ExitCode.unreachable,
  CONNECTION_LOST: ExitCode.unreachable,
  TLS_FAILED: ExitCode.unreachable,
  AUTHENTICATION_REFUSED: ExitCode.login,
  VHOST_NOT_FOUND: ExitCode.login,
  CONFIRM_TIMEOUT: ExitCode.unreachable,
  OPERATION_TIMEOUT: ExitCode.unreachable,
  RETURNED: ExitCode.undelivered,
  NACKED: ExitCode.undelivered,
}

/** The client's mends speak of the client; here is what somebody at a prompt can do. */
const mends: { readonly [code in WarrenErrorCode]?: string } = {
  CONNECT_REFUSED: 'is a broker running there, and are host and port in --url right?',
  CONNECT_TIMEOUT: 'check that a broker answers there, or allow more time with --timeout',
  CONNECTION_LOST: 'whatever was not confirmed or acknowledged counts as not done; run the command again',
  CONNECTION_CLOSED: 'whatever was not confirmed or acknowledged counts as not done; run the command again',
  TLS_FAILED: 'check that the port speaks TLS, and give --tls-ca the authority that signed its certificate',
  AUTHENTICATION_REFUSED: 'check user name and password in --url',
  VHOST_NOT_FOUND: "check the path of --url ('/%2f' is the vhost '/'); the user needs a permission in it",
}

function sentenceOf(error: WarrenError): string {
  const what = error.message.slice(0, -error.mend.length).trim().replace(/\.$/, '')
  const mend = mends[error.code] ?? lowerFirst(error.mend.replace(/\.$/, ''))
  return `${lowerFirst(what)}; ${mend}`
}

/** But not of names and abbreviations. */
function lowerFirst(text: string): string {
  return /^[A-Z][a-z']/.test(text) ? text.charAt(0).toLowerCase() + text.slice(1) : text
}
