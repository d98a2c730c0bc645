/** Questions and forms before the page; the browser keeps the focus inside and gives it back. */

import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { type Key, t } from '../core/language.ts'
import { signal } from '../core/signal.ts'

interface Asked {
  readonly title: string
  readonly text: ComponentChildren
  readonly doIt: Key
  readonly isDangerous: boolean
  readonly answer: (yes: boolean) => void
}

const asked = signal<Asked | null>(null)

export interface Question {
  readonly title: string
  readonly text: ComponentChildren
  /** What the button says. */
  readonly doIt: Key
  readonly isDangerous?: boolean
}

/** Resolves with whether the user wants it. */
export function confirmed({ isDangerous = true, ...question }: Question): Promise<boolean> {
  asked.value?.answer(false)
  return new Promise((resolve) => {
    asked.value = {
      ...question,
      isDangerous,
      answer: (yes) => {
        asked.value = null
        resolve(yes)
      },
    }
  })
}

export function Questions(): JSX.Element | null {
  const question = asked.value
  if (question === null) return null
  const { title, text, doIt, isDangerous, answer } = question
  return (
    <Dialog title={title} close={() => answer(false)}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          answer(true)
        }}
      >
        <div>{text}</div>
        <div class="row end">
          <button type="submit" class={isDangerous ? 'danger' : 'main'}>
            {t(doIt)}
          </button>
          <button type="button" onClick={() => answer(false)}>
            {t('cancel')}
          </button>
        </div>
      </form>
    </Dialog>
  )
}

interface DialogProps {
  readonly title: string
  readonly close: () => void
  readonly children: ComponentChildren
}

export function Dialog({ title, close, children }: DialogProps): JSX.Element {
  const element = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    const { activeElement: before } = document
    const shown = element.current
    shown?.showModal()
    // The browser gives the focus back when a dialog is closed, not when it is taken out of the page; while it is open, nothing
    // else can have it.
    return () => {
      shown?.close()
      if (before instanceof HTMLElement && before.isConnected) before.focus()
      else document.querySelector<HTMLElement>('h1')?.focus()
    }
  }, [])
  return (
    <dialog
      ref={element}
      aria-label={title}
      onCancel={(event) => {
        event.preventDefault()
        close()
      }}
    >
      <h2>{title}</h2>
      {children}
    </dialog>
  )
}
