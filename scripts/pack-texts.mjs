/**
 * Writes the dashboard's texts so that they pack well: the keys once for all languages, and each language as one string
 * in their order. In the sources each language is an object that the compiler checks.
 */
import { transformSync } from 'esbuild'

/** Between two texts; in none of them. */
const separator = '|'

/** A Vite plugin. */
export function packTexts() {
  return {
    name: 'pack-texts',
    enforce: 'pre',
    async transform(source, id) {
      const [, language] = /[\\/]texts[\\/](en|zh)\.ts$/.exec(id) ?? []
      if (language === undefined) return null
      const texts = await textsIn(source, language)
      const keys = Object.keys(texts).sort()
      const line = keys.map((key) => texts[key]).join(separator)
      if (line.split(separator).length !== keys.length) throw new Error(`a text of ${language} holds ${separator}`)
      return { code: moduleOf(language, keys, line), map: null }
    },
  }
}

async function textsIn(source, language) {
  const { code } = transformSync(source, { loader: 'ts', format: 'esm' })
  return (await import(`data:text/javascript;base64,${Buffer.from(code).toString('base64')}`))[language]
}

/** English has the keys; the compiler has seen that the others have the same. */
function moduleOf(language, keys, line) {
  const own = `export const ${language} = named(${JSON.stringify(line)})`
  if (language !== 'en') return `import { named } from './en.ts'\n${own}`
  return `const keys = ${JSON.stringify(keys.join(' '))}.split(' ')
export const named = (line) => Object.fromEntries(line.split('${separator}').map((text, at) => [keys[at], text]))
${own}`
}
