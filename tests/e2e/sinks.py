"""Next hops: aiosmtpd, Postfix's smtp-sink, and one of our own that misbehaves on demand."""
import asyncio
import glob
import os
import re
import signal
import socket
import subprocess
import threading

from harness import HOST_IP, Failed, Skip, check, find_program, wait_until


BARE = re.compile(rb'\r(?!\n)|(?<!\r)\n')


class Message:
    def __init__(self, sender, recipients, content, helo='', options=()):
        self.sender, self.recipients, self.content = sender, list(recipients), bytes(content)
        self.helo, self.options = helo, list(options)


class Sink:
    """A server in an event loop in a thread of its own; messages come into the list."""

    def __init__(self, lab, host=HOST_IP, port=2525):
        self.host, self.port, self.messages, self.writers = host, port, [], set()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.server = None
        self.up()
        lab.at_end(self.end)

    def listening(self):
        s = socket.socket(socket.AF_INET6 if ':' in self.host else socket.AF_INET)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((self.host, self.port))
        s.listen(512)
        return s

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def up(self):
        if self.server is None:
            self.server = self.call(self.serve(self.listening()))

    def down(self):
        """Connections are refused from now on, and those that a Scripted has are closed."""
        async def close(server):
            server.close()
            for writer in list(self.writers):
                writer.close()
        if self.server is not None:
            server, self.server = self.server, None
            self.call(close(server))

    def end(self):
        self.down()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)

    def wait(self, count, seconds=60):
        wait_until(lambda: len(self.messages) >= count, seconds, f'{count} messages at the next hop ({self.port})')
        return self.messages

    def to(self, recipient):
        return [m for m in list(self.messages) if recipient in m.recipients]


class Aiosmtpd(Sink):
    async def serve(self, listening):
        try:
            from aiosmtpd.smtp import SMTP
        except ImportError:
            raise Skip('python3-aiosmtpd is not here') from None
        sink = self

        class Handler:
            async def handle_DATA(self, server, session, envelope):
                sender = '' if envelope.mail_from == '<>' else envelope.mail_from
                sink.messages.append(Message(sender, envelope.rcpt_tos, envelope.content,
                                             session.host_name, envelope.mail_options))
                return '250 OK'

        def session():
            return SMTP(Handler(), data_size_limit=1 << 27, decode_data=False, hostname='next.example')
        return await self.loop.create_server(session, sock=listening)


class Scripted(Sink):
    """A strict little server whose behaviour is its mode (an attribute, changed at any time):
    ok; greet_421; connect_close; rcpt (by recipient: temp-... 451, perm-... 550); data_451; end_451;
    end_554; close_in_data; close_before_reply; garbage; endless; slow (bytes one by one); mute (takes
    a message and says nothing more).
    It asserts what a client must not do: bare newlines, commands before the greeting. A message's options
    are what followed the paths of MAIL and of each RCPT that was taken."""

    def __init__(self, lab, mode='ok', offers=('PIPELINING', '8BITMIME', 'SIZE 100000000'), **kw):
        self.mode, self.sessions, self.faults, self.offers, self.silent = mode, 0, [], offers, 0
        super().__init__(lab, **kw)

    async def serve(self, listening):
        return await asyncio.start_server(self.session, sock=listening, limit=1 << 27)

    async def session(self, reader, writer):
        self.sessions += 1
        self.writers.add(writer)
        try:
            await self.serving(reader, writer).run()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()

    def serving(self, reader, writer):
        return Session(self, reader, writer)


class Session:
    def __init__(self, sink, reader, writer):
        self.sink, self.reader, self.writer = sink, reader, writer
        self.helo, self.sender, self.recipients = '', None, []
        self.buffer = bytearray()

    async def until(self, end):
        """All up to the end mark, and it."""
        searched = 0
        while (at := self.buffer.find(end, max(0, searched - len(end)))) < 0:
            searched = len(self.buffer)
            more = await asyncio.wait_for(self.reader.read(1 << 18), 60)
            if not more:
                raise ConnectionError('closed')
            self.buffer += more
        taken = bytes(self.buffer[:at + len(end)])
        del self.buffer[:at + len(end)]
        return taken

    async def say(self, text):
        data = text.encode() + b'\r\n'
        if self.sink.mode == 'slow':
            for i in range(len(data)):
                self.writer.write(data[i:i + 1])
                await self.writer.drain()
                await asyncio.sleep(0.001)
        else:
            self.writer.write(data)
            await self.writer.drain()

    async def run(self):
        mode = self.sink.mode
        if mode == 'connect_close':
            return
        if mode == 'garbage':
            self.writer.write(b'\x16\x03\x01\xff' * 300 + b'\n')
            await self.writer.drain()
            await self.reader.read(1000)
            return
        if mode == 'endless':
            try:
                while True:
                    self.writer.write(b'220-next.example and more\r\n' * 100)
                    await asyncio.wait_for(self.writer.drain(), 5)
            finally:
                return
        if mode == 'greet_421':
            return await self.say('421 4.3.2 not now')
        await self.say('220 next.example ESMTP')
        while await self.command(await self.until(b'\n')):
            pass

    async def command(self, line):
        if not line.endswith(b'\r\n') or b'\r' in line[:-2] or len(line) > 2048:
            self.sink.faults.append(line[:100])
        line = line.strip().decode('latin-1')
        verb = line[:4].upper()
        if verb in ('EHLO', 'HELO'):
            self.helo = line[5:]
            await self.say(''.join(f'250-{word}\r\n' for word in ('next.example', *self.sink.offers)) + '250 HELP')
        elif verb == 'MAIL':
            self.sender = line[line.index('<') + 1:line.index('>')]
            self.recipients, self.options = [], [line[line.index('>') + 1:]]
            await self.say('250 2.1.0 Ok')
        elif verb == 'RCPT':
            await self.rcpt(line[line.index('<') + 1:line.rindex('>')], line[line.rindex('>') + 1:])
        elif verb == 'DATA':
            return await self.data()
        elif verb == 'RSET':
            self.recipients = []
            await self.say('250 2.0.0 Ok')
        elif verb == 'QUIT':
            await self.say('221 2.0.0 Bye')
            return False
        else:
            self.sink.faults.append(line[:100].encode('latin-1'))
            await self.say('500 5.5.2 unknown')
        return True

    async def rcpt(self, recipient, options):
        if self.sink.mode == 'rcpt' and recipient.lstrip('"').startswith('temp-'):
            await self.say('451 4.2.1 mailbox asleep')
        elif self.sink.mode == 'rcpt' and recipient.startswith('perm-'):
            await self.say('550 5.1.1 no such user')
        else:
            self.recipients.append(recipient)
            self.options.append(options)
            await self.say('250 2.1.5 Ok')

    async def data(self):
        if not self.recipients:
            await self.say('554 5.5.1 no valid recipients')
            return True
        if self.sink.mode == 'data_451':
            await self.say('451 4.3.0 no DATA today')
            return True
        await self.say('354 go')
        if self.sink.mode == 'close_in_data':
            await self.reader.read(100)
            self.writer.transport.abort()
            return False
        self.buffer[:0] = b'\r\n'  # so that an end right at the start is found
        content = (await self.until(b'\r\n.\r\n'))[2:-3]
        if BARE.search(content):
            self.sink.faults.append(b'bare newline: ' + content[:100])
        content = (b'\r\n' + content).replace(b'\r\n.', b'\r\n')[2:]
        mode = self.sink.mode
        if mode == 'close_before_reply':
            self.writer.transport.abort()
            return False
        if mode == 'mute':
            self.sink.silent += 1
            await asyncio.wait_for(self.reader.read(1), 10)
            return False
        if mode in ('end_451', 'end_554'):
            await self.say('451 4.3.0 try later' if mode == 'end_451' else '554 5.6.0 not this')
            return True
        self.keep(Message(self.sender, self.recipients, content, self.helo, self.options))
        await self.say('250 2.0.0 queued')
        return True

    def keep(self, message):
        """From here on tests see it."""
        self.sink.messages.append(message)


class SmtpSink:
    """smtp-sink of Postfix; each message into a file of its own when asked to."""

    def __init__(self, lab, host=HOST_IP, port=2525, dump=True):
        self.dir = lab.path(f'smtp-sink-{port}')
        os.makedirs(self.dir, exist_ok=True)
        os.chmod(self.dir, 0o777)
        program = find_program('smtp-sink')
        args = ['-d', '%s.'] if dump else []
        self.log = open(lab.path('smtp-sink.log'), 'ab')
        self.process = lab.spawn(program, '-u', 'nobody', *args, f'inet:{host}:{port}', '200', cwd=self.dir,
                                 stdout=self.log, stderr=self.log)

    def dumps(self):
        out = []
        for path in sorted(glob.glob(os.path.join(self.dir, '*'))):
            with open(path, 'rb') as f:
                out.append(f.read())
        return out

    def content(self, dump):
        """A dump's message as it came, with CRLF: smtp-sink's own fields on top and the empty line that it
        adds are taken off."""
        lines = dump[:-1].split(b'\n')
        while lines and lines[0].startswith(b'X-'):
            lines.pop(0)
        check(b'by smtp-sink ' in lines[1], f'a dump of smtp-sink: {dump[:300]!r}')
        lines.pop(0)
        while lines[0][:1] == b'\t':
            lines.pop(0)
        return b'\r\n'.join(lines)

    def wait(self, count, seconds=60):
        def there():
            if self.process.poll() is not None:
                raise Failed(f'smtp-sink ended with {self.process.returncode}')
            return len([d for d in self.dumps() if d.endswith(b'\n\n')]) >= count
        wait_until(there, seconds, f'{count} messages in smtp-sink')
        return self.dumps()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
