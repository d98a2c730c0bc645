/** Structured logging as the program sees it; `cli` decides what writes it (pino). Never called per message. */
export interface Logger {
  debug(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  error(fields: LogFields, message: string): void
  /** The same log for one part of the program, which may have a level of its own. Left out: parts are not told apart. */
  part?(name: string): Logger
}

/** The parts that are told apart; `config/log-settings.ts` has their names too. */
export const logParts = ['server', 'http', 'broker', 'log', 'cluster', 'audit'] as const
export type LogPart = (typeof logParts)[number]

export function logOf(logger: Logger, part: LogPart): Logger {
  return logger.part?.(part) ?? logger
}

export type LogFields = Readonly<Record<string, unknown>>

/** Says nothing. For embedded use and tests. */
export const silentLogger: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
}
