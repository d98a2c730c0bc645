/** The list of all options as `warren serve --help` shows it: key, default, meaning. */
import { environmentName } from '../config/option.ts'
import { options } from '../config/options.ts'

export function describeOptions(): string {
  const rows = Object.values(options).map(({ key, defaultText, about }) => [`${key} = ${defaultText}`, about] as const)
  const width = Math.max(...rows.map(([setting]) => setting.length))
  const lines = rows.map(([setting, about]) => `  ${setting.padEnd(width)}  ${about}`)
  const example = environmentName('log-level')
  return [
    '',
    'All options with their defaults, for the configuration file and the environment',
    `(${example} for log-level). A flag goes before the environment, the environment before the file.`,
    'Text stands in quotes in the file; a key with a dot is written under its table, as in [disk] free-min.',
    '',
    ...lines,
  ].join('\n')
}
