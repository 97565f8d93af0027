'use strict';
/* The queue: searching, pages, and what is done to messages. The gateway searches and counts. */

const SHOWN_MAX = 50;
const VERBS = {
  hold: ['Hold', 'held', 'They are not tried until they are released, also after a restart.'],
  release: ['Release', 'released', 'They are tried at their times again.'],
  flush: ['Try now', 'tried now', 'Their deferred recipients are tried at once; those that are held stay held.'],
  delete: ['Delete', 'deleted', 'They are taken out of the queue for good. Nobody is told, neither senders nor recipients: only the gateway\u2019s log says so.'],
};
const Queue = {search: new URLSearchParams(), after: [''], more: false, last: '', messages: [], chosen: new Set(), matching: false, matched: 0, why: '', busy: false};

/* ---- the search ---- */

/* What the fields ask, as the gateway names it. */
function searchOf(form) {
  const out = new URLSearchParams();
  for (const [key, value] of new FormData(form))
    if (value.trim() !== '') out.set(key === 'recipient' && !value.includes('@') ? 'domain' : key, value.trim());
  return out;
}

function showSearch(search) {
  const form = byId('search');
  for (const field of form.elements)
    if (field.name) field.value = search.get(field.name) ?? (field.name === 'recipient' ? search.get('domain') ?? '' : '');
}

function begin(search) {
  Object.assign(Queue, {search, after: ['']});
  clear('Asking the gateway\u2026');
  tell('');
  loadQueue().catch(failed);
}

/* ---- the list ---- */

/* What was shown met other conditions, or is not known any more: nothing of it may be chosen. */
function clear(why) {
  Object.assign(Queue, {messages: [], matched: 0, more: false, matching: false, why});
  Queue.chosen.clear();
  showQueue();
}

async function loadQueue() {
  if (Page.up === false || Queue.busy) return;
  const query = new URLSearchParams(Queue.search), at = Queue.after.length;
  const asked = query.toString();
  if (Queue.after[at - 1]) query.set('after', Queue.after[at - 1]);
  const answer = await ask('/api/queue?' + query);
  if (Queue.search.toString() !== asked || Queue.after.length !== at || Queue.busy) return; /* meanwhile something else is wanted */
  if (answer.error) return clear(shown(answer.error));
  Object.assign(Queue, {messages: answer.messages, more: answer.more, matched: answer.stat.matched, why: ''});
  byId('queue-sum').textContent = `${count.format(answer.stat.messages)} messages, ${count.format(answer.stat.deferred)} recipients deferred, ${count.format(answer.stat.failed)} failed`;
  if (!Queue.matching) for (const id of [...Queue.chosen]) if (!Queue.messages.some((m) => m.id === id)) Queue.chosen.delete(id);
  showQueue();
}

/* Not while somebody is at it: rows would move below the hand. */
function tendQueue() {
  const list = byId('messages'), atIt = Queue.chosen.size > 0 || Queue.matching || byId('ask').open
    || list.querySelector('details[open]') || list.contains(document.activeElement);
  return atIt ? Promise.resolve() : loadQueue();
}

function recipient(r) {
  const why = r.suspended ? ` suspended` : '';
  return make('li', {class: 'text'}, `<${shown(r.to)}> `, make('span', {class: 'tag ' + r.state}, r.state + why),
    r.attempts > 0 ? make('span', {class: 'sub'}, ` ${r.attempts} ${r.attempts === 1 ? 'attempt' : 'attempts'}`
      + (r.next_s ? `, next ${nextIn(r.next_s)}` : '')) : null);
}
function nextIn(s) {
  const left = s - Date.now() / 1000;
  return left > 0 ? 'in ' + span(left) : 'now';
}

function words(m) {
  const r = m.recipients.find((x) => x.words) || m.recipients.find((x) => x.code || x.enhanced);
  if (!r) return ['\u2013'];
  const enhanced = shown(r.enhanced ?? ''), code = [r.code || '', enhanced].filter(Boolean).join(' ');
  const said = shown(r.words ?? '');
  return [code ? make('span', {class: 'tag'}, code) : null, ' ', enhanced && said.startsWith(enhanced) ? said.slice(enhanced.length).trim() : said];
}

/* All recipients, when they are wanted. */
function recipientsCell(m) {
  const list = make('ul', {class: 'recipients'}, ...m.recipients.slice(0, 3).map(recipient));
  if (m.recipient_cnt <= 3) return [list];
  const all = make('details', {}, make('summary', {}, `all ${count.format(m.recipient_cnt)} recipients`));
  all.addEventListener('toggle', async () => {
    if (!all.open) return;
    try {
      const answer = await ask('/api/message?id=' + encodeURIComponent(m.id));
      const rest = answer.error ? [make('li', {}, shown(answer.error))] : answer.message.recipients.slice(3, 1000).map(recipient);
      if (!answer.error && answer.message.recipients.length > 1000) rest.push(make('li', {class: 'sub'}, `the first 1,000; sluicectl queue show ${m.id} tells all`));
      all.replaceChildren(all.firstChild, make('ul', {class: 'recipients'}, ...rest));
    } catch (why) { failed(why); }
  });
  return [list, all];
}

function row(m) {
  const cell = (label, attributes, ...content) => make('td', {role: 'cell', 'data-label': label, ...attributes}, ...content);
  const box = make('input', {type: 'checkbox', 'aria-label': `message ${m.id} from ${shown(m.sender) || 'the null sender'}`, 'data-id': m.id});
  box.checked = Queue.matching || Queue.chosen.has(m.id);
  box.addEventListener('change', () => choose(m.id, box.checked));
  const button = (verb, kind) => {
    const b = make('button', {type: 'button', 'data-verb': verb, class: kind, 'aria-label': `${VERBS[verb][0]} message ${m.id}`}, VERBS[verb][0]);
    b.addEventListener('click', () => change(verb, [m]));
    return b;
  };
  const age = Date.now() / 1000 - m.arrival_s;
  return make('tr', {role: 'row', class: box.checked ? 'chosen' : null},
    cell('', {class: 'check'}, box),
    cell('Message', {}, make('span', {class: 'mono text'}, m.id),
      make('div', {class: 'sub'}, make('time', {datetime: new Date(m.arrival_s * 1000).toISOString(), title: clock(m.arrival_s * 1000)}, `${span(age)} ago`),
        m.held ? ' ' : null, m.held ? make('span', {class: 'tag held'}, 'held') : null, m.requiretls ? ' ' : null,
        m.requiretls ? make('span', {class: 'tag', title: 'REQUIRETLS: goes only where TLS is proved'}, 'requires TLS') : null)),
    cell('From', {class: 'text from'}, m.sender === '' ? make('span', {class: 'sub'}, '<> (a report)') : shown(m.sender)),
    cell('To', {class: 'to'}, ...recipientsCell(m)),
    cell('Size', {class: 'number'}, bytes(m.bytes)),
    cell('Last answer', {class: 'text said'}, ...words(m)),
    cell('', {}, make('div', {class: 'acts'}, button(m.held ? 'release' : 'hold'), button('delete', 'danger'))));
}

function showQueue() {
  const searching = Queue.search.size > 0, from = (Queue.after.length - 1) * SHOWN_MAX;
  fill(byId('messages').tBodies[0], Queue.messages.map(row), Queue.why || (searching ? 'No message meets that.' : 'The queue is empty.'));
  byId('page-where').textContent = Queue.messages.length === 0 ? '' : `${count.format(from + 1)} to ${count.format(from + Queue.messages.length)} of ${count.format(Math.max(Queue.matched, from + Queue.messages.length))}, the oldest first`;
  byId('page-first').disabled = byId('page-back').disabled = Queue.after.length === 1;
  byId('page-next').disabled = !Queue.more;
  showChosen();
}

/* ---- choosing ---- */

function choose(id, on) {
  if (Queue.matching) { /* one less than all of them: those of the page */
    Queue.matching = false;
    Queue.messages.forEach((m) => Queue.chosen.add(m.id));
  }
  Queue.chosen[on ? 'add' : 'delete'](id);
  for (const box of byId('messages').querySelectorAll('[data-id]')) mark(box);
  showChosen();
}

function mark(box) {
  box.checked = Queue.matching || Queue.chosen.has(box.dataset.id);
  box.closest('tr').classList.toggle('chosen', box.checked);
}

function showChosen() {
  const all = byId('select-page'), cnt = Queue.messages.filter((m) => Queue.chosen.has(m.id)).length;
  all.checked = Queue.messages.length > 0 && (Queue.matching || cnt === Queue.messages.length);
  all.indeterminate = !Queue.matching && cnt > 0 && cnt < Queue.messages.length;
  const link = byId('select-matching'), searching = Queue.search.size > 0;
  const total = searching ? `all ${count.format(Queue.matched)} that match` : `all ${count.format(Queue.matched)} in the queue`;
  byId('selected').textContent = Queue.matching ? `Selected: ${total}` : Queue.chosen.size > 0 ? `Selected: ${Queue.chosen.size}` : 'Nothing selected';
  link.hidden = Queue.matching || !all.checked || Queue.matched <= Queue.messages.length;
  link.textContent = 'Select ' + total;
  showRights();
}

function showRights() {
  const why = Page.readOnly ? 'Nothing can be changed here: sluicectl web was started with --read-only.'
    : Page.mayChange === false ? 'Nothing can be changed here: sluicectl web runs as a user who may only look (control: group). As root, or as one of control: change_group, it may change messages.'
      : Page.up === false ? 'Nothing can be changed while the gateway does not answer.' : '';
  const note = byId('why-off');
  note.textContent = why;
  note.hidden = why === '';
  const some = Queue.matching || Queue.chosen.size > 0;
  for (const b of document.querySelectorAll('.bar [data-verb]')) b.disabled = why !== '' || !some || Queue.busy;
  for (const b of document.querySelectorAll('.acts [data-verb]')) b.disabled = why !== '' || Queue.busy;
}
Page.rightsChanged = showRights;

/* ---- changing ---- */

function tell(text, bad) {
  const p = byId('told');
  p.hidden = text === '';
  p.className = bad ? 'told bad' : 'told';
  p.textContent = text;
}

/* Asks; resolves to whether it is to be done. */
function confirmed(verb, cnt, which, list) {
  const [name, , text] = VERBS[verb], dialog = byId('ask'), yes = byId('ask-yes');
  const what = which === 'ids' ? (cnt === 1 ? 'this message' : `these ${cnt} messages`)
    : which === 'all' ? `all ${count.format(cnt)} messages in the queue` : `all ${count.format(cnt)} messages that match`;
  byId('ask-title').textContent = `${name} ${what}?`;
  byId('ask-text').textContent = cnt === 1 && which === 'ids' ? text.replace(/^They are/, 'It is').replace(/^Their/, 'Its').replace('they are released', 'it is released').replace('at their times', 'at its times').replace('those that are held stay held', 'a hold stays') : text;
  byId('ask-list').replaceChildren(...list.slice(0, 5).map((m) => make('li', {class: 'text'}, `${shown(m.sender) || '<>'} to ${m.recipients.slice(0, 2).map((r) => shown(r.to)).join(', ')}${m.recipient_cnt > 2 ? ` and ${m.recipient_cnt - 2} more` : ''}`)),
    ...(list.length > 5 ? [make('li', {}, `and ${list.length - 5} more`)] : []));
  yes.textContent = name;
  yes.className = verb === 'delete' ? 'main danger' : 'main';
  byId('ask-no').textContent = cnt === 1 && which === 'ids' ? 'Leave it' : 'Leave them';
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((done) => dialog.addEventListener('close', () => done(dialog.returnValue === 'yes'), {once: true}));
}

function result(verb, a) {
  const said = [`${count.format(a.done)} ${a.done === 1 ? 'message' : 'messages'} ${VERBS[verb][1]}.`];
  if (a.busy > 0) said.push(`${count.format(a.busy)} being delivered at this moment, left alone.`);
  if (a.missing > 0) said.push(verb === 'flush' ? `${count.format(a.missing)} had nothing deferred, or left the queue meanwhile.` : `${count.format(a.missing)} not in the queue any more.`);
  if (a.error) said.push(`Then it was refused: ${shown(a.error)}.`);
  return said.join(' ');
}

async function change(verb, list) {
  if (Queue.busy) return;
  const which = list ? 'ids' : Queue.matching ? (Queue.search.size > 0 ? 'matching' : 'all') : 'ids';
  const messages = list || Queue.messages.filter((m) => Queue.matching || Queue.chosen.has(m.id));
  const search = new URLSearchParams(Queue.search), matched = Queue.matched;
  if (!await confirmed(verb, which === 'ids' ? messages.length : matched, which, which === 'ids' ? messages : [])) return;
  const form = which === 'matching' ? search : new URLSearchParams();
  form.set('verb', verb);
  form.set('which', which);
  if (which === 'ids') for (const m of messages) form.append('id', m.id);
  else form.set('shown', matched); /* when there are more by then, it is refused */
  Queue.busy = true;
  showRights();
  tell(`${VERBS[verb][0]}: asking the gateway\u2026`);
  try {
    const answer = await ask('/api/change', form);
    tell(answer.done === undefined ? `Refused: ${shown(answer.error)}` : result(verb, answer), Boolean(answer.error));
    Queue.chosen.clear();
    Queue.matching = false;
  } catch (why) {
    tell(why instanceof TypeError || why.name === 'TimeoutError' ? 'No answer came: whether it was done, the list below will tell.' : `It was not done: ${why.message}`, true);
  }
  Queue.busy = false;
  byId('told').scrollIntoView({block: 'nearest'});
  await loadQueue().catch(failed);
  showRights();
}

/* ---- hands ---- */

/* Until it is there, no other: that would be the one after the page that is shown. */
function turn(after) {
  const before = Queue.after, pressed = document.activeElement;
  Queue.after = after;
  Queue.chosen.clear();
  Queue.matching = false;
  showChosen();
  for (const id of ['page-first', 'page-back', 'page-next']) byId(id).disabled = true;
  loadQueue().then(() => {
    if (!pressed.disabled) pressed.focus({preventScroll: true});
    byId('queue').scrollIntoView({block: 'start'});
  }).catch((why) => {
    if (Queue.after === after) Queue.after = before;
    showQueue();
    failed(why);
  });
}

function searchFromAddress() {
  const at = location.hash.indexOf('?');
  const search = new URLSearchParams(location.hash.startsWith('#queue') && at > 0 ? location.hash.slice(at + 1) : '');
  showSearch(search);
  begin(searchOf(byId('search')));
}

byId('search').addEventListener('submit', (event) => {
  event.preventDefault();
  const text = searchOf(byId('search')).toString(), hash = text ? '#queue?' + text : '#queue';
  if (location.hash === hash) begin(searchOf(byId('search')));
  else location.hash = hash;
});
byId('search').addEventListener('reset', (event) => {
  event.preventDefault();
  showSearch(new URLSearchParams());
  location.hash = '#queue';
  begin(new URLSearchParams());
});
window.addEventListener('hashchange', () => { if (location.hash.startsWith('#queue')) searchFromAddress(); });
byId('select-page').addEventListener('change', (event) => {
  Queue.matching = false;
  Queue.messages.forEach((m) => Queue.chosen[event.target.checked ? 'add' : 'delete'](m.id));
  for (const box of byId('messages').querySelectorAll('[data-id]')) mark(box);
  showChosen();
});
byId('select-matching').addEventListener('click', () => {
  Queue.matching = true;
  for (const box of byId('messages').querySelectorAll('[data-id]')) mark(box);
  showChosen();
});
for (const b of document.querySelectorAll('.bar [data-verb]')) b.addEventListener('click', () => change(b.dataset.verb));
byId('page-next').addEventListener('click', () => turn([...Queue.after, Queue.messages[Queue.messages.length - 1].id]));
byId('page-back').addEventListener('click', () => turn(Queue.after.slice(0, -1)));
byId('page-first').addEventListener('click', () => turn(['']));

Page.whenUp.push(() => loadQueue().catch(failed));
searchFromAddress();
again(live, 2000)();
again(state, 5000)();
setTimeout(again(tendQueue, () => Queue.matched > 10000 ? 30000 : 5000), 5000);
