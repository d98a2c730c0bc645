/**
 * The log lines of `warren`: JSON lines (by pino) for machines, plain lines for a terminal. Errors among the fields
 * keep type, text, code and stack in JSON; a terminal gets the text. Fields whose name says that they are secret are not
 * written, whoever gave them.
 *
 * Each part of the program may have a level of its own, which can be changed while it runs.
 */
import { createRequire } from 'node:module'
import type { LogFields, Logger } from '../base/logger.ts'
import { type LogLevel, logLevels } from '../config/log-settings.ts'

export interface LogTarget {
  readonly isTerminal: boolean
  write(line: string): void
}

export interface LogSettings {
  readonly level: LogLevel
  /** By part; what is not named has `level`, and the audit `info`. */
  readonly parts: ReadonlyMap<string, LogLevel>
}

/** Where the lines of a part go instead. */
export interface LogRoutes {
  readonly audit: { readonly write: WriteLine } | null
}

export class LeveledLogger implements Logger {
  /** Holds from the next line on. */
  settings: LogSettings
  readonly #writers: { readonly main: WriteLine; readonly audit: WriteLine }

  constructor(settings: LogSettings, target: LogTarget, routes: LogRoutes = { audit: null }) {
    this.settings = settings
    const main = writerFor(target)
    this.#writers = { main, audit: routes.audit?.write ?? main }
  }

  debug(fields: LogFields, message: string): void {
    this.write('', 'debug', fields, message)
  }

  info(fields: LogFields, message: string): void {
    this.write('', 'info', fields, message)
  }

  warn(fields: LogFields, message: string): void {
    this.write('', 'warn', fields, message)
  }

  error(fields: LogFields, message: string): void {
    this.write('', 'error', fields, message)
  }

  part(name: string): Logger {
    const at =
      (level: LogLevel) =>
      (fields: LogFields, message: string): void =>
        this.write(name, level, fields, message)
    return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
  }

  write(part: string, level: LogLevel, fields: LogFields, message: string): void {
    const least = this.settings.parts.get(part) ?? (part === 'audit' ? 'info' : this.settings.level)
    if (logLevels.indexOf(level) < logLevels.indexOf(least)) return
    const writeLine = part === 'audit' ? this.#writers.audit : this.#writers.main
    writeLine(level, withoutSecrets(part === '' ? fields : { part, ...fields }), message)
  }
}

const secretName = /passw|secret|token|authorization|credential|private/i

function withoutSecrets(fields: LogFields): LogFields {
  const names = Object.keys(fields)
  if (!names.some((name) => secretName.test(name))) return fields
  return Object.fromEntries(names.map((name) => [name, secretName.test(name) ? '***' : fields[name]]))
}

export type WriteLine = (level: LogLevel, fields: LogFields, message: string) => void

export function writerFor(target: LogTarget): WriteLine {
  return target.isTerminal ? terminalWriter(target) : jsonWriter(target)
}

/** Loads pino with the first line: a start that has nothing to say does not pay for it. */
function jsonWriter(target: LogTarget): WriteLine {
  let logger: import('pino').Logger | null = null
  return (level, fields, message) => {
    if (logger === null) {
      const { pino } = createRequire(import.meta.url)('pino') as typeof import('pino')
      const options = {
        // What is not to be written does not come here.
        level: 'debug',
        base: null,
        timestamp: pino.stdTimeFunctions.isoTime,
        formatters: { level: (label: string) => ({ level: label }) },
        serializers: { error: pino.stdSerializers.err },
      }
      logger = pino(options, { write: (line: string) => target.write(line) })
    }
    logger[level](fields, message)
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
