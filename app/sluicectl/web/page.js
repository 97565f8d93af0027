'use strict';
/* What both scripts use, and all of the page but the queue. Whatever comes from mail or from clients
 * is put in by textContent alone; the page's policy forbids markup from strings besides. */

const byId = (id) => document.getElementById(id);
const SVG = 'http://www.w3.org/2000/svg';

/* make('td', {class: 'number', title: '...'}, 'text', node): an element. */
function make(name, attributes, ...content) {
  const svg = ['svg', 'path', 'rect'].includes(name);
  const e = svg ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {}))
    if (value !== undefined && value !== null && value !== false)
      e.setAttribute(key, value === true ? '' : value);
  e.append(...content.filter((c) => c !== null && c !== undefined));
  return e;
}

/* What would hide or turn around other text is spelled out. */
function shown(text) {
  const s = String(text ?? '');
  return s.replace(/[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
    (c) => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'));
}

const count = new Intl.NumberFormat('en');
function rate(n) {
  return n === 0 ? '0' : n < 10 ? n.toFixed(1) : count.format(Math.round(n));
}
function bytes(n) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let at = 0;
  while (n >= 1024 && at < units.length - 1) { n /= 1024; at++; }
  return (at === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)) + '\u00a0' + units[at];
}
function span(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return s + '\u00a0s';
  if (s < 3600) return Math.floor(s / 60) + '\u00a0min';
  if (s < 86400) return Math.floor(s / 3600) + '\u00a0h ' + Math.floor(s % 3600 / 60) + '\u00a0min';
  return Math.floor(s / 86400) + '\u00a0d ' + Math.floor(s % 86400 / 3600) + '\u00a0h';
}
function time(us) {
  if (us === null || us === undefined) return '\u2013';
  if (us < 1000) return us.toFixed(0) + '\u00a0\u00b5s';
  return us < 1e6 ? (us / 1000).toFixed(us < 1e4 ? 1 : 0) + '\u00a0ms' : (us / 1e6).toFixed(1) + '\u00a0s';
}
function two(n) { return String(n).padStart(2, '0'); }
function clock(ms) {
  const d = new Date(ms);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}

/* Rows in place of those that are there; none: a sentence. */
function fill(body, rows, none) {
  const columns = body.parentElement.querySelectorAll('thead th').length;
  body.replaceChildren(...(rows.length > 0 ? rows : [make('tr', {}, make('td', {class: 'empty', colspan: columns}, none))]));
}
const number = (text) => make('td', {class: 'number'}, text);
const head = (text) => make('th', {scope: 'row', class: 'text'}, shown(text));

/* ---- asking ---- */

const Page = {token: '', readOnly: false, mayChange: null, up: null, whenUp: []};

async function ask(path, form) {
  const options = {signal: AbortSignal.timeout(form ? 120000 : 30000), cache: 'no-store'};
  if (form) Object.assign(options, {method: 'POST', body: form, headers: {'X-Sluice-Token': Page.token}});
  const answer = await fetch(path, options);
  if (!answer.ok) throw new Error((await answer.text()).trim() || `status ${answer.status}`);
  return answer.json();
}

function trouble(text) {
  const p = byId('trouble');
  if (p.textContent !== text) p.textContent = text;
  p.hidden = text === '';
  byId('main').classList.toggle('stale', text !== '');
}

function failed(why) {
  const text = why instanceof TypeError || why.name === 'TimeoutError'
    ? 'sluicectl web does not answer: it was stopped, or the way to it (ssh -L?) has ended.' : why.message;
  trouble(`${text} What stands below is of before; it is asked again every two seconds.`);
  pill('bad', 'no answer');
}

/* ---- live ---- */

const TILES = [
  ['messages_per_s', 'Messages taken', '/s'], ['delivered_per_s', 'Delivered', '/s'],
  ['deferred_per_s', 'Deferred', '/s', true], ['failed_per_s', 'Failed for good', '/s', true],
  ['connections_per_s', 'Connections in', '/s'], ['handshakes_per_s', 'TLS handshakes in', '/s'],
  ['queue_messages', 'In the queue', 'messages'], ['queue_bytes', 'Queue on disk', ''],
];
const samples = [];
let next = 0;

function buildTiles() {
  byId('tiles').replaceChildren(...TILES.map(([key, label, unit, bad]) => make('div', {class: bad ? 'tile bad-kind' : 'tile', id: 'tile-' + key},
    make('div', {class: 'label'}, label),
    make('div', {}, make('span', {class: 'value'}, '\u2013'), ' ', make('span', {class: 'unit'}, unit)),
    make('svg', {viewBox: '0 0 100 30', preserveAspectRatio: 'none', 'aria-hidden': 'true'},
      make('path', {class: 'spark-area'}), make('path', {class: 'spark-line'})),
    make('div', {class: 'most'}, ''))));
}

/* A line for each stretch in which the gateway answered. */
function spark(tile, values, most) {
  const x = (i) => (100 * i / 299).toFixed(2);
  const y = (v) => (28 - 26 * v / (most || 1)).toFixed(2);
  const from = 300 - values.length;
  let line = '', area = '', begun = null;
  values.forEach((v, i) => {
    if (v !== null) {
      line += (begun === null ? 'M' : 'L') + x(from + i) + ' ' + y(v);
      if (begun === null) { begun = from + i; area += `M${x(begun)} 30`; }
      area += `L${x(from + i)} ${y(v)}`;
    }
    if (begun !== null && (v === null || i === values.length - 1)) {
      area += `L${x(from + i - (v === null ? 1 : 0))} 30Z`;
      begun = null;
    }
  });
  tile.querySelector('.spark-line').setAttribute('d', line);
  tile.querySelector('.spark-area').setAttribute('d', area);
}

function showTiles() {
  const last = samples[samples.length - 1];
  for (const [key, , unit] of TILES) {
    const tile = byId('tile-' + key), values = samples.map((s) => s.up ? s[key] : null);
    const known = values.filter((v) => v !== null), most = Math.max(0, ...known);
    const words = key === 'queue_bytes' ? bytes : unit === '/s' ? rate : (n) => count.format(n);
    tile.querySelector('.value').textContent = last && last.up ? words(last[key]) : '\u2013';
    tile.querySelector('.most').textContent = known.length > 0 ? `at most ${words(most)}${unit === '/s' ? '/s' : ''}` : '';
    spark(tile, values, most);
  }
}

const TIMES = [['handshake', 'TLS handshake of a client'], ['durable', '250 after the message is on disk'], ['delivery_attempt', 'delivery attempt']];
function showLatency(minute) {
  byId('latency-span').textContent = minute.seconds >= 1 ? `in the last ${Math.round(minute.seconds)} s` : 'so far';
  fill(byId('latency-rows'), TIMES.map(([key, words]) => {
    const t = minute.times[key];
    const none = t.count === 0;
    const tell = (us) => none ? '\u2013' : us === null ? 'longer than told' : time(us);
    return make('tr', {}, head(words), number(tell(t.p50_at_most_us)), number(tell(t.p99_at_most_us)), number(count.format(t.count)));
  }), '');
}

function meter(pct) {
  return make('div', {class: 'meter'},
    make('svg', {viewBox: '0 0 100 10', preserveAspectRatio: 'none', 'aria-hidden': 'true'}, make('rect', {width: Math.max(0, Math.min(100, pct)), height: 10})),
    make('span', {class: 'number'}, pct.toFixed(1) + '\u00a0%'));
}

function showTop(top) {
  byId('hostname').textContent = shown(top.hostname);
  document.title = shown(top.hostname) + ' \u2013 Sluice';
  byId('uptime').textContent = 'up ' + span(top.uptime_s);
  const yes = top.accepting === 'yes';
  pill(yes ? 'good' : 'warn', yes ? 'takes mail' : 'takes no mail: ' + shown(top.accepting.replace(/^no: /, '')));
  fill(byId('lane-rows'), top.lanes.map((l) => make('tr', {}, head(l.lane), make('td', {}, meter(l.busy_pct)),
    number(rate(l.rx_per_s)), number(rate(l.tx_per_s)), number(count.format(l.in)), number(count.format(l.out)))), 'none');
  fill(byId('client-rows'), (top.clients || []).map((c) => make('tr', {}, head(c.name), number(count.format(c.open)), number(count.format(c.messages)))),
    'Nobody is connected.');
  fill(byId('destination-rows'), (top.destinations || []).map((d) => make('tr', {}, head(d.name), number(count.format(d.waiting)), number(count.format(d.deferred)))),
    'Nothing waits.');
}

function pill(kind, text) {
  const p = byId('pill');
  p.className = 'pill ' + kind;
  if (p.textContent !== text) p.textContent = text;
}

async function live() {
  const answer = await ask('/api/live?after=' + next);
  Page.token = answer.token;
  Page.readOnly = answer.read_only;
  if (answer.next < next) samples.length = 0;
  next = answer.next;
  samples.push(...answer.samples);
  samples.splice(0, Math.max(0, samples.length - 300));
  showTiles();
  if (answer.up) {
    trouble('');
    showTop(answer.top);
    showLatency(answer.minute);
  } else {
    trouble(`The gateway does not answer: ${shown(answer.why)}. What stands below is of before; it is asked again every two seconds.`);
    pill('bad', 'the gateway is down');
  }
  const came = answer.up && Page.up === false;
  Page.up = answer.up;
  Page.rightsChanged();
  if (came) for (const f of Page.whenUp) f();
}

/* ---- state ---- */

const LEVELS = {
  'none': 'no TLS is asked for', 'may': 'TLS where the next hop has it, with whoever it is',
  'encrypt': 'TLS always, with whoever it is', 'dane': 'TLSA records decide where there are some, else as may',
  'dane-only': 'nothing goes without TLSA records that fit', 'fingerprint': 'a certificate by its fingerprint',
  'verify': 'a certificate by a trusted authority for a name', 'secure': 'as verify, for the domain of the mail or names the operator gives',
  'sts': 'the domain\u2019s policy of MTA-STS asked for it', 'sts-testing': 'a policy in mode testing: it asks, and refuses nothing',
};
const OUTCOMES = {
  verified: ['proved', 'Encrypted, and the next hop has proved who it is: nobody between could read or change the mail.'],
  trusted: ['fits, way unsigned', 'Encrypted, and its certificate fits; but the MX records that led there were not signed, so it may be another\u2019s host.'],
  untrusted: ['encrypted only', 'Encrypted with whoever it was: that keeps off who only listens, not who stands between.'],
  clear: ['in clear', 'Not encrypted: whoever was on the way could read and change it.'],
  failed: ['not delivered', 'Tried and put off, since what the level asks for could not be had; the mail waits.'],
};

function showTls(counters) {
  const names = Object.keys(OUTCOMES), sums = Object.fromEntries(names.map((n) => [n, 0])), rows = [];
  for (const level of Object.keys(LEVELS)) {
    const values = names.map((n) => counters[`tls_out/${level.replace('-', '_')}_${n}`]);
    names.forEach((n, i) => { sums[n] += values[i] || 0; });
    if (values.some((v) => v > 0))
      rows.push(make('tr', {}, make('th', {scope: 'row', title: LEVELS[level]}, level), ...values.map((v) => number(v === undefined ? '\u2013' : count.format(v)))));
  }
  fill(byId('tls-table').tBodies[0], rows, 'Nothing has gone over the network yet.');
  const all = sums.verified + sums.trusted + sums.untrusted + sums.clear;
  byId('tls-share').replaceChildren(...['verified', 'trusted', 'untrusted', 'clear'].filter((n) => sums[n] > 0).map((n) => {
    const part = make('span', {class: 'share-' + n});
    part.style.width = 100 * sums[n] / all + '%';
    return part;
  }));
  const pct = (n) => `${(100 * n / all).toFixed(n === all || n === 0 ? 0 : 1)}\u00a0%`;
  const parts = [[sums.verified, 'to a next hop that proved who it is'], [sums.trusted, 'with a certificate that fits, over an unsigned way'],
    [sums.untrusted, 'encrypted only'], [sums.clear, 'in clear']].filter(([n]) => n > 0).map(([n, text]) => `${pct(n)} ${text}`);
  byId('tls-sum').textContent = all === 0 ? '' : `Of ${count.format(all)} attempts: ${parts.join(', ')}.`;
}

function buildTls() {
  byId('tls-table').tHead.rows[0].append(...Object.values(OUTCOMES).map(([word, text]) => make('th', {scope: 'col', class: 'number', title: text}, word)));
  byId('tls-words').replaceChildren(
    ...Object.values(OUTCOMES).flatMap(([word, text]) => [make('dt', {}, word), make('dd', {}, text)]),
    ...Object.entries(LEVELS).flatMap(([word, text]) => [make('dt', {}, 'level ' + word), make('dd', {}, text)]));
}

function showCertificates(list) {
  const tlsa = {'-': 'not asked yet', unknown: 'not known', none: 'none published', unsigned: 'unsigned: nobody goes by it',
    unusable: 'unusable', mismatch: 'does not fit', match: 'fits'};
  fill(byId('certificate-rows'), list.map((c) => {
    const kind = c.days < 7 ? 'bad-text' : c.days < 21 ? 'warn-text' : 'good-text';
    const words = c.days === 0 ? 'today, or it has' : `${count.format(c.days)} ${c.days === 1 ? 'day' : 'days'}`;
    return make('tr', {}, head(c.name), make('td', {class: 'text'}, c.names.map(shown).join(', ') || '\u2013'), make('td', {}, shown(c.key)),
      make('td', {class: kind}, words + (c.days < 7 ? ' \u2013 renew it now' : c.days < 21 ? ' \u2013 renew it' : '')), make('td', {class: c.tlsa === 'mismatch' ? 'bad-text' : null}, tlsa[c.tlsa] || shown(c.tlsa)));
  }), 'No certificate: clients are received in clear.');
}

function showSpools(list) {
  fill(byId('spool-rows'), list.map((s) => make('tr', {}, head(s.name || 'spool'), number(count.format(s.messages)), number(bytes(s.live_bytes)),
    make('td', {class: s.accepting ? 'good-text' : 'bad-text'}, s.accepting ? 'yes' : 'no: ' + shown(s.why)))), 'none');
}

const EVENTS = {auth_failed: 'login failed', tls_failed: 'TLS handshake failed', proxy_refused: 'PROXY header refused', not_stored: 'could not be stored'};
function refusalRow(r) {
  const cell = (label, kind, ...content) => make('td', {role: 'cell', 'data-label': label, class: 'text ' + kind}, ...content);
  const reason = r.event === 'refused' ? shown(r.reason) : (EVENTS[r.event] || shown(r.event)) + (r.reason ? ': ' + shown(r.reason) : '');
  const more = [r.stage && 'after ' + shown(r.stage), r.helo && 'HELO ' + shown(r.helo), r.login !== undefined && 'login ' + shown(r.login),
    r.method && shown(r.method)].filter(Boolean).join(', ');
  const who = r.from === undefined && r.to === undefined ? '\u2013' : `<${shown(r.from ?? '')}>`;
  return make('tr', {role: 'row'},
    cell('When', 'when', make('time', {datetime: r.time}, clock(Date.parse(r.time)))),
    cell('Reason', 'reason', reason, more ? make('div', {class: 'sub'}, more) : null),
    cell('Client', 'client', shown(r.client ?? r.peer ?? '\u2013')),
    cell('From, to', 'who', who, r.to !== undefined ? make('div', {}, `to <${shown(r.to)}>`) : null),
    cell('Code', 'code', r.code ? `${r.code}${r.dsn ? ' ' + shown(r.dsn) : ''}` : '\u2013'));
}

let refusalsShown = '';
async function state() {
  const answer = await ask('/api/state');
  if (!answer.up) return;
  Page.mayChange = answer.status.may_change !== false;
  showTls(answer.status.counters);
  showCertificates(answer.status.certificates);
  showSpools(answer.status.spools);
  const looks = JSON.stringify(answer.refusals);
  if (looks !== refusalsShown) {
    refusalsShown = looks;
    fill(byId('refusal-rows'), answer.refusals.slice().reverse().map(refusalRow), 'Nothing was refused since the gateway\u2019s start.');
  }
  Page.rightsChanged();
}

/* ---- turns ---- */

/* Again and again: sooner where somebody looks. */
function again(what, ms) {
  let timer = null, running = false;
  const run = async () => {
    clearTimeout(timer);
    if (running) return;
    running = true;
    try { await what(); } catch (why) { failed(why); }
    running = false;
    timer = setTimeout(run, document.hidden ? 60000 : typeof ms === 'function' ? ms() : ms);
  };
  document.addEventListener('visibilitychange', () => { if (!document.hidden) run(); });
  return run;
}

buildTiles();
buildTls();
