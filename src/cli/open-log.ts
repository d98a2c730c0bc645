/** The log of `warren serve` as the options say: levels, and a file of its own for the audit. */
import type { Logger } from '../base/logger.ts'
import { type Config, readLogLevels } from '../config.ts'
import { AuditRoute } from './audit-file.ts'
import { LeveledLogger, type LogSettings } from './logs.ts'

export interface OpenLog {
  readonly logger: Logger
  /** Other levels from now on; the file is opened anew. Throws a sentence when it cannot be; then nothing has changed. */
  use(config: Config): void
}

/** Null when a file cannot be opened, which has been said. The log goes to stderr. */
export function openLog(config: Config): OpenLog | null {
  const main = { isTerminal: process.stderr.isTTY === true, write: (line: string) => void process.stderr.write(line) }
  const audit = new AuditRoute(main, (error) => logger.error({ error }, 'the audit log cannot be written'))
  const logger = new LeveledLogger(settingsOf(config), main, { audit })
  const use = (next: Config): void => {
    audit.use(next.auditLog)
    logger.settings = settingsOf(next)
  }
  try {
    audit.use(config.auditLog)
  } catch (error) {
    process.stderr.write(`warren: ${error instanceof Error ? error.message : String(error)}\n`)
    return null
  }
  return { logger, use }
}

function settingsOf({ logLevel: level, logLevels }: Config): LogSettings {
  return { level, parts: readLogLevels(logLevels) }
}
