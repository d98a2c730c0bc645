/** Definitions that a node is given at its start: RabbitMQ's JSON, from a file or from whoever starts it. */
import type { Files } from './base/files.ts'
import type { Logger } from './base/logger.ts'
import { FileTooLong, readText } from './base/read-text.ts'
import type { Broker } from './broker/broker.ts'
import { DefinitionsError } from './broker/definitions/entry.ts'
import { definitionsBytesMax, parseDefinitions } from './broker/definitions/import-definitions.ts'
import type { Config } from './config.ts'
import { errorName, StartError } from './start-error.ts'

/** What a file, and whoever starts the node, says there should be; whatever of it is there already stays. */
export async function loadDefinitions(
  config: Config,
  { logger, files }: { readonly logger: Logger; readonly files: Files },
  broker: Broker,
  given?: string,
): Promise<void> {
  const { definitions: path } = config
  const file = {
    place: path,
    mend: 'mend the file or give another',
    read: () => readText(files, path, definitionsBytesMax),
    logger,
  }
  if (path !== 'none') await importFrom(file, broker)
  if (given === undefined) return
  await importFrom({ place: 'the options', mend: 'mend them', read: () => Promise.resolve(given), logger }, broker)
}

interface DefinitionsSource {
  readonly place: string
  readonly mend: string
  read(): Promise<string>
  readonly logger: Logger
}

async function importFrom({ place, mend, read, logger }: DefinitionsSource, broker: Broker): Promise<void> {
  try {
    const { warnings } = await broker.importDefinitions(parseDefinitions(await read()))
    for (const warning of warnings) logger.warn({ definitions: place }, warning)
    logger.info({ definitions: place, warnings: warnings.length }, 'definitions are imported')
  } catch (error) {
    if (error instanceof DefinitionsError || error instanceof FileTooLong) {
      const sentence = `the definitions in ${place} cannot be imported: ${error.message}; ${mend}`
      throw new StartError('definitions', sentence, error)
    }
    if (!(error instanceof Error && 'syscall' in error)) throw error
    const sentence = `the definitions ${place} cannot be read (${errorName(error)}): give definitions the path of a file`
    throw new StartError('definitions', `${sentence} that this user may read`, error)
  }
}
