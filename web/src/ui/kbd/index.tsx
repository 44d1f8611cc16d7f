import css from './kbd.module.css'

const mac = typeof navigator !== 'undefined' && /Mac|iPhone|iPad/.test(navigator.platform)

/** `mod+k` is ⌘K on Apple's keyboards and Ctrl K elsewhere. */
export function Keys({ keys }: { keys: string }) {
  const text = keys
    .split(' ')
    .map((one) =>
      one.startsWith('mod+')
        ? `${mac ? '⌘' : 'Ctrl '}${one.slice(4).toUpperCase()}`
        : one === 'enter'
          ? '↵'
          : one.length === 1
            ? one.toUpperCase()
            : one,
    )
    .join(' ')
  return <kbd className={css.kbd}>{text}</kbd>
}
