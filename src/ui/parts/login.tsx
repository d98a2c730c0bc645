/** Shown until somebody is logged in. */
import type { JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { ApiFailure, logIn } from '../core/api.ts'
import { t } from '../core/language.ts'
import { sentenceOf } from '../core/notices.ts'
import { wasEnded } from '../core/session.ts'
import { Mark } from './shell.tsx'

export function Login(): JSX.Element {
  const [failure, setFailure] = useState<string | null>(null)
  const first = useRef<HTMLInputElement>(null)
  useEffect(() => first.current?.focus(), [])
  const [isBusy, setBusy] = useState(false)
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault()
    const form = new FormData(event.currentTarget as HTMLFormElement)
    setBusy(true)
    setFailure(null)
    try {
      await logIn(String(form.get('name')), String(form.get('password')))
    } catch (error) {
      const isWrong = error instanceof ApiFailure && error.status === 401
      setFailure(isWrong ? (error.message === 'Login failed' ? t('wrongLogin') : t('noTag')) : sentenceOf(error))
      setBusy(false)
    }
  }
  return (
    <main class="login">
      <form class="card" onSubmit={(event) => void submit(event)}>
        <h1 class="brand">
          <Mark />
          Warren
        </h1>
        {wasEnded.value && failure === null && <p class="warn">{t('loginEnded')}</p>}
        <label class="field">
          {t('userName')}
          <input name="name" required autoComplete="username" ref={first} />
        </label>
        <label class="field">
          {t('password')}
          <input name="password" type="password" autoComplete="current-password" />
        </label>
        {failure !== null && (
          <p class="bad" role="alert">
            {failure}
          </p>
        )}
        <button type="submit" class="main" disabled={isBusy}>
          {t('logIn')}
        </button>
      </form>
    </main>
  )
}
