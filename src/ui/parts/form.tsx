/** Fields of forms, and what is read from them. */
import type { ComponentChildren, JSX } from 'preact'
import { useState } from 'preact/hooks'
import { type Key, t } from '../core/language.ts'
import { sentenceOf } from '../core/notices.ts'

export interface FieldProps {
  readonly name: string
  readonly label: Key
  readonly value?: string
  readonly type?: 'text' | 'number' | 'password' | 'datetime-local'
  readonly placeholder?: string
  readonly isNeeded?: boolean
}

export function Field({ name, label, value = '', type = 'text', placeholder = '', isNeeded }: FieldProps): JSX.Element {
  return (
    <label class="field">
      {t(label)}
      <input
        name={name}
        step="any"
        {...({ type } as { type: 'text' })}
        defaultValue={value}
        placeholder={placeholder}
        required={isNeeded ?? false}
        spellcheck={false}
        autoComplete="off"
      />
    </label>
  )
}

export function Area({ name, label, value = '', placeholder = '' }: FieldProps): JSX.Element {
  return (
    <label class="field">
      {t(label)}
      <textarea name={name} defaultValue={value} placeholder={placeholder} spellcheck={false} />
    </label>
  )
}

export function Check({ name, label, isOn = false }: { name: string; label: Key; isOn?: boolean }): JSX.Element {
  return (
    <label class="check">
      <input type="checkbox" name={name} defaultChecked={isOn} />
      {t(label)}
    </label>
  )
}

interface ChoiceProps {
  readonly name: string
  readonly label: Key
  readonly of: readonly string[]
  readonly value?: string
}

export function Choice({ name, label, of, value }: ChoiceProps): JSX.Element {
  return (
    <label class="field">
      {t(label)}
      <select name={name} defaultValue={value ?? of[0] ?? ''}>
        {of.map((one) => (
          <option key={one} value={one} selected={one === value}>
            {one}
          </option>
        ))}
      </select>
    </label>
  )
}

interface FormProps {
  readonly doIt: Key
  /** Rejects with what is wrong; the form says it. */
  readonly submit: (fields: Fields) => Promise<void>
  readonly cancel?: () => void
  readonly children: ComponentChildren
}

export function Form({ doIt, submit, cancel, children }: FormProps): JSX.Element {
  const [failure, setFailure] = useState<string | null>(null)
  const [isBusy, setBusy] = useState(false)
  const submitted = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault()
    const fields = new Fields(new FormData(event.currentTarget as HTMLFormElement))
    setBusy(true)
    setFailure(null)
    try {
      await submit(fields)
    } catch (error) {
      setFailure(sentenceOf(error))
    }
    setBusy(false)
  }
  return (
    <form class="form" onSubmit={(event) => void submitted(event)}>
      {children}
      {failure !== null && (
        <p class="bad" role="alert">
          {failure}
        </p>
      )}
      <div class="row">
        <button type="submit" class="main" disabled={isBusy}>
          {t(doIt)}
        </button>
        {cancel !== undefined && (
          <button type="button" onClick={cancel}>
            {t('cancel')}
          </button>
        )}
      </div>
    </form>
  )
}

export class Fields {
  readonly #data: FormData

  constructor(data: FormData) {
    this.#data = data
  }

  text(name: string): string {
    return String(this.#data.get(name) ?? '')
  }

  has(name: string): boolean {
    return this.#data.has(name)
  }

  file(name: string): File {
    return this.#data.get(name) as File
  }

  /** A JSON object; nothing is an empty one. Throws a sentence. */
  object(name: string): Record<string, unknown> {
    const text = this.text(name).trim()
    if (text === '') return {}
    try {
      const json: unknown = JSON.parse(text)
      if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as Record<string, unknown>
    } catch {
      // The sentence below.
    }
    throw new Error(t('noObject', { text: text.slice(0, 40) }))
  }
}
