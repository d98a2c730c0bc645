/** What the page says, in the user's language: every text has a key, and each language says all of them. */
import { en } from '../texts/en.ts'
import { zh } from '../texts/zh.ts'
import { signal } from './signal.ts'

export type Key = keyof typeof en
export type Texts = Readonly<Record<Key, string>>
export type Language = 'en' | 'zh'

const storageKey = 'warren.language'

export const language = signal<Language>(chosen())

tell()

function tell(): void {
  document.documentElement.lang = language.value === 'zh' ? 'zh-CN' : 'en'
}

function chosen(): Language {
  const kept = localStorage.getItem(storageKey)
  if (kept === 'en' || kept === 'zh') return kept
  return navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en'
}

export function choose(wanted: Language): void {
  localStorage.setItem(storageKey, wanted)
  language.value = wanted
  tell()
}

/** The text of a key, with `{name}` replaced; `{s}` is the ending of more than one, or none, of what `count` counts. */
export function t(key: Key, values: Readonly<Record<string, string | number>> = {}): string {
  const texts: Texts = language.value === 'zh' ? zh : en
  return texts[key].replace(/\{(\w+)\}/g, (whole, name: string) =>
    name === 's' ? (String(values['count']) === '1' ? '' : 's') : String(values[name] ?? whole),
  )
}
