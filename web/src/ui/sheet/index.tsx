import type { ReactNode } from 'react'
import { Dialog, Heading, Modal, ModalOverlay } from 'react-aria-components'
import { useT } from '../../i18n'
import { Button } from '../button'
import css from './sheet.module.css'

interface Props {
  title: string
  open: boolean
  onClose: () => void
  children: ReactNode
  foot?: ReactNode
  side?: boolean
}

/** A dialog that states the consequence of an action. Opens at the side where the page behind must stay readable. */
export function Sheet({ title, open, onClose, children, foot, side }: Props) {
  const t = useT()
  return (
    <ModalOverlay
      className={`${css.over} ${side ? css.overSide : ''}`}
      isOpen={open}
      onOpenChange={(now) => !now && onClose()}
      isDismissable
    >
      <Modal className={`${css.modal} ${side ? css.side : ''}`}>
        <Dialog className={css.dialog as string}>
          <header className={css.head}>
            <Heading slot="title" level={2} className={css.title as string}>
              {title}
            </Heading>
            <Button icon="x" look="ghost" small iconOnly onPress={onClose}>
              {t('Close')}
            </Button>
          </header>
          <div className={css.body}>{children}</div>
          {foot && <footer className={css.foot}>{foot}</footer>}
        </Dialog>
      </Modal>
    </ModalOverlay>
  )
}
