// Conversations for the fixture server, in the format of the API: take over, post, give back and resolve work, with one
// owner at a time.
const ago = (minutes) => new Date(Date.now() - minutes * 60_000).toISOString()

function begin(run) {
  const line = (minutes, from, text, name = null) => ({
    at: ago(minutes),
    from,
    name,
    text,
    execution_id: from === 'ai' ? run : null,
    internal: from === 'note',
  })
  const handover = (trigger, reason, more = {}) => ({
    trigger,
    reason,
    summary: '',
    skills: [],
    tried: [],
    pending_approvals: [],
    lines: 0,
    cost: 4100000,
    ...more,
  })
  const conversation = (id, more) => ({
    conversation_id: id,
    state: 'pending_human',
    owner: 'nobody',
    assigned_agent_id: null,
    number: 2,
    channel: 'web',
    user_id: null,
    workflow_id: 'return_and_refund',
    confidence_score: null,
    execution_id: run,
    total_cost_usd: 0.0041,
    created_at: ago(14),
    updated_at: ago(9),
    waiting_since: ago(9),
    first_response_at: null,
    reopened: 0,
    ...more,
    lines: more.lines.map((one, i) => ({ number: i + 1, ...one })),
    handover_context: { ...more.handover_context, lines: more.passed ?? more.lines.length },
  })
  return new Map(
    [
      conversation('conv-lucia', {
        state: 'human_active',
        owner: 'person',
        assigned_agent_id: 'olga',
        number: 3,
        user_id: 'Lucía Ferrer',
        passed: 3,
        first_response_at: ago(6.15),
        handover_context: handover('confidence_threshold', 'no source on what her insurance covers', {
          summary:
            'The customer began: “I want to return order 12345, the shoes are too small.” Last they said: “And if the refund goes to a card that has expired?”',
          skills: ['refunds'],
          confidence: 0.54,
          tried: [
            { what: 'Find order', kind: 'tool', outcome: 'completed' },
            { what: 'Check the return', kind: 'agent', outcome: 'completed' },
            { what: 'Refund payment', kind: 'tool', outcome: 'failed', error: 'CARD_EXPIRED' },
            { what: 'May this refund go out?', kind: 'human', outcome: 'waiting' },
          ],
          pending_approvals: ['May this refund go out?'],
          suggested_reply:
            'Yes, that works: if the card has expired, your bank passes the refund on to the new one. It takes three to five working days.',
        }),
        lines: [
          line(14, 'customer', 'I want to return order 12345, the shoes are too small.'),
          line(13.8, 'ai', 'Hello, Lucía. You have 30 days, so that is fine. I can send you a label now. Shall I?'),
          line(12, 'customer', 'Yes, please.\nAnd if the refund goes to a card that has expired?'),
          line(6.15, 'person', 'Hello, Lucía, I am from the shop. Let me look at the payment.', 'olga'),
          line(6, 'note', 'Her card ends in 4412, expired in October. Payments knows.', 'olga'),
          line(5, 'customer', 'Perfect, thank you. Will you keep the label for me meanwhile?'),
        ],
      }),
      conversation('conv-tomas', {
        user_id: 'Tomás Vidal',
        channel: 'mobile',
        handover_context: handover('error_threshold', '3 errors in a row', {
          summary: 'The customer began: “My parcel is wet.”',
        }),
        lines: [line(11, 'customer', 'My parcel is wet.'), line(10, 'ai', 'I am sorry, I could not look that up.')],
      }),
      conversation('conv-hugo', {
        user_id: 'Hugo Serra',
        handover_context: handover('explicit_request', '', { skills: ['spanish'] }),
        lines: [line(9.5, 'customer', 'Quiero hablar con una persona')],
      }),
      conversation('conv-ines', {
        user_id: 'Inés Prat',
        channel: 'email',
        state: 'human_active',
        owner: 'person',
        assigned_agent_id: 'paul',
        handover_context: handover('failed_compensation', 'the label could not be cancelled', {}),
        lines: [line(30, 'customer', 'I was charged twice in September.')],
      }),
      conversation('conv-done', {
        user_id: 'Nadia Roca',
        state: 'resolved',
        handover_context: handover('agent_decision', 'she sent a picture'),
        lines: [line(60, 'customer', 'Here is the picture.'), line(50, 'person', 'Thank you, done.', 'olga')],
      }),
    ].map((one) => [one.conversation_id, one]),
  )
}

export function conversationServer(run) {
  const all = begin(run)
  const listeners = new Map()
  const head = ({
    lines,
    passed,
    handover_context,
    execution_id,
    waiting_since,
    first_response_at,
    reopened,
    ...conversation
  }) => ({
    ...conversation,
    hil_reason: handover_context.trigger,
    last_message: lines.findLast((line) => line.from !== 'note')?.text ?? null,
  })
  const detail = (conversation) => {
    const { handover_context, execution_id, waiting_since, first_response_at, reopened } = conversation
    return { ...head(conversation), handover_context, execution_id, waiting_since, first_response_at, reopened }
  }
  const send = (conversation, event, data) => {
    for (const res of listeners.get(conversation.conversation_id) ?? [])
      res.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
  }
  const update = (conversation, more) => {
    Object.assign(conversation, more, { updated_at: ago(0) })
    send(conversation, 'state', detail(conversation))
  }
  const post = (conversation, from, text, name = null) => {
    const number = conversation.lines.length + 1
    const line = { number, at: ago(0), from, name, text, execution_id: null, internal: from === 'note' }
    conversation.lines.push(line)
    send(conversation, 'message', line)
    update(conversation, {})
  }
  const olga = { status: 'online', max_capacity: 5, last_active: ago(0) }
  const assigned = () =>
    [...all.values()].filter(
      (conversation) => conversation.owner === 'person' && conversation.assigned_agent_id === 'olga',
    )
  const person = () => ({
    id: 'olga',
    name: 'Olga',
    email: 'olga@example.com',
    skills: ['refunds'],
    languages: [],
    ...olga,
    current_load: assigned().length,
    conversations: assigned().map((conversation) => conversation.conversation_id),
    created_at: ago(9000),
  })
  const setOwner = (conversation, owner, name, state) =>
    update(conversation, { owner, assigned_agent_id: name, state, number: conversation.number + 1 })

  return {
    /** Once there is a listener: earlier events are not repeated to later ones. */
    async customerSays(id, text) {
      while (!listeners.get(id)?.size) await new Promise((resolve) => setTimeout(resolve, 10))
      post(all.get(id), 'customer', text)
    },
    takenBy: (id, name) => setOwner(all.get(id), 'person', name, 'human_active'),
    /** The human agent's record: `status`, `max_capacity`. */
    olga,
    /** Handles the request, or returns false where another handler should. */
    answer({ room, id, verb, url, body, method, json, problem, req, res }) {
      if (room === 'human-agents' && id === 'olga') {
        if (verb === 'presence') {
          Object.assign(olga, { status: body.status, last_active: ago(0) })
          if (body.status === 'offline')
            for (const conversation of assigned()) setOwner(conversation, 'nobody', null, 'pending_human')
        }
        json(200, person())
        return true
      }
      if (room === 'human-agents') {
        problem(404, 'DESK-004', `the desk has nobody of the id \`${id}\``)
        return true
      }
      if (room !== 'conversations') return false
      if (!id) {
        const [status, state] = [url.searchParams.get('status'), url.searchParams.get('state')]
        const people = ['handover', 'pending_human', 'human_active']
        const found = [...all.values()].filter(
          (conversation) =>
            (!state || conversation.state === state) && (status !== 'escalated' || people.includes(conversation.state)),
        )
        json(200, { conversations: found.map(head), next_cursor: null })
        return true
      }
      const conversation = all.get(id)
      const mine = conversation?.assigned_agent_id === 'olga'
      const done = () => json(200, detail(conversation))
      const owns = () =>
        problem(
          409,
          'CONV-003',
          `\`${conversation.assigned_agent_id}\` owns the conversation, under number ${conversation.number}`,
        )
      if (!conversation) problem(404, 'CONVERSATION_NOT_FOUND', `no conversation \`${id}\``)
      else if (!verb) done()
      else if (verb === 'events') {
        res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
        res.write(': here\n\n')
        const set = listeners.get(id) ?? new Set()
        listeners.set(id, set.add(res))
        req.on('close', () => set.delete(res))
      } else if (verb === 'messages' && method === 'GET') {
        const after = Number(url.searchParams.get('after') ?? 0)
        const page = conversation.lines.slice(after, after + 4)
        json(200, { messages: page, next_after: after + 4 < conversation.lines.length ? after + 4 : null })
      } else if (verb === 'take-over') {
        if (conversation.owner === 'person') return owns() ?? true
        setOwner(conversation, 'person', 'olga', 'human_active')
        done()
      } else if (verb === 'notes') {
        post(conversation, 'note', body.text, 'olga')
        done()
      } else if (verb === 'reopen') {
        setOwner(conversation, 'nobody', null, 'pending_human')
        done()
      } else if (!mine) owns()
      else if (verb === 'posts') {
        if (body.number !== conversation.number)
          return problem(409, 'CONV-004', `you own the conversation under number ${conversation.number}`) ?? true
        post(conversation, 'person', body.text, 'olga')
        done()
      } else if (verb === 'give-back') {
        setOwner(conversation, 'ai', null, 'back_to_ai')
        done()
      } else if (verb === 'resolve') {
        setOwner(conversation, 'nobody', null, 'resolved')
        done()
      } else problem(404, 'NOT_FOUND', 'there is nothing at this path')
      return true
    },
  }
}
