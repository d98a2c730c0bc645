/**
 * The log lines of `warren`: JSON lines (by pino) for machines, plain lines for a terminal. Errors among the fields
 * keep type, text, code and stack in JSON; a terminal gets the text.
 */
import { createRequire } from 'node:module'
import type { LogFields, Logger } from '../base/logger.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

const ranks: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 }

export interface LogTarget {
  readonly isTerminal: boolean
  write(line: string): void
}

export function openLogger(level: LogLevel, target: LogTarget): Logger {
  const writeLine = target.isTerminal ? terminalWriter(target) : jsonWriter(level, target)
  const at = (rank: LogLevel) =>
    ranks[rank] < ranks[level] ? () => {} : (fields: LogFields, message: string) => writeLine(rank, fields, message)
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

type WriteLine = (level: LogLevel, fields: LogFields, message: string) => void

/** Loads pino with the first line: a start that has nothing to say does not pay for it. */
function jsonWriter(level: LogLevel, target: LogTarget): WriteLine {
  let logger: import('pino').Logger | null = null
  return (rank, fields, message) => {
    if (logger === null) {
      const { pino } = createRequire(import.meta.url)('pino') as typeof import('pino')
      const options = {
        level,
        base: null,
        timestamp: pino.stdTimeFunctions.isoTime,
        formatters: { level: (label: string) => ({ level: label }) },
        serializers: { error: pino.stdSerializers.err },
      }
      logger = pino(options, { write: (line: string) => target.write(line) })
    }
    logger[rank](fields, message)
  }
}

function terminalWriter(target: LogTarget): WriteLine {
  return (level, fields, message) => {
    const time = new Date().toTimeString().slice(0, 8)
    const details = Object.entries(fields).map(([name, value]) => ` ${name}=${readable(value)}`)
    target.write(`${time} ${level.toUpperCase().padEnd(5)} ${message}${details.join('')}\n`)
  }
}

function readable(value: unknown): string {
  if (value instanceof Error) return JSON.stringify(value.message)
  if (typeof value === 'string') return /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value)
  return JSON.stringify(value) ?? String(value)
}
