/** Dark or light: as the system says, until the user says otherwise. */
import { signal } from './signal.ts'

export type Theme = 'system' | 'light' | 'dark'

const storageKey = 'warren.theme'
const systemIsDark = matchMedia('(prefers-color-scheme: dark)')

export const theme = signal<Theme>(kept())
/** What is shown: charts are drawn anew when it changes. */
export const isDark = signal(false)

tell()
systemIsDark.addEventListener('change', tell)

function tell(): void {
  isDark.value = theme.value === 'system' ? systemIsDark.matches : theme.value === 'dark'
  document.documentElement.dataset['theme'] = isDark.value ? 'dark' : 'light'
}

function kept(): Theme {
  const text = localStorage.getItem(storageKey)
  return text === 'light' || text === 'dark' ? text : 'system'
}

export function choose(wanted: Theme): void {
  localStorage.setItem(storageKey, wanted)
  theme.value = wanted
  tell()
}
