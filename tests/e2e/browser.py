"""Debian's Chromium without a window, by chromedriver's WebDriver (plain HTTP and JSON): what a page looks like and does.

It runs as root in tests (--no-sandbox), and with its own directory for all that it writes."""
import base64
import http.client
import json
import os
import shutil
import signal

from harness import Skip, check, wait_until

PORT = 9515
ELEMENT = 'element-6066-11e4-a52e-4f735466cecf'


def find_browser():
    """Paths of chromedriver and of the browser; SLUICE_CHROMIUM names a directory that both were unpacked into."""
    root = os.environ.get('SLUICE_CHROMIUM', '')
    driver, chromium = root + '/usr/bin/chromedriver', root + ('/usr/lib/chromium/chromium' if root else '/usr/bin/chromium')
    for path in (driver, chromium):
        if not os.path.exists(path):
            raise Skip(f'no {path}: tests/run --ci installs chromium and chromium-driver')
    return driver, chromium


class Browser:
    """One window. ask() speaks WebDriver; the rest are the few things that tests need of it."""

    def __init__(self, lab, width=1280, height=1000):
        driver, chromium = find_browser()
        self.home = lab.path('browser')
        shutil.rmtree(self.home, ignore_errors=True)
        os.makedirs(self.home)
        env = dict(os.environ, HOME=self.home, XDG_CACHE_HOME=self.home, XDG_CONFIG_HOME=self.home, TMPDIR=self.home)
        with open(lab.path('chromedriver.log'), 'ab') as log:
            self.child = lab.spawn(driver, f'--port={PORT}', stdout=log, stderr=log, env=env)
        lab.at_end(self.end)
        wait_until(self.ready, 30, 'chromedriver')
        arguments = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--lang=en',
                     '--disable-background-networking', '--disable-component-update', '--disable-sync', '--hide-scrollbars',
                     '--force-color-profile=srgb', f'--window-size={width},{height}', f'--user-data-dir={self.home}/profile']
        self.session = self.ask('POST', '/session', {'capabilities': {'alwaysMatch': {
            'goog:chromeOptions': {'binary': chromium, 'args': arguments},
            'goog:loggingPrefs': {'browser': 'ALL', 'performance': 'ALL'}}}}, path='')['sessionId']

    def ready(self):
        check(self.child.poll() is None, 'chromedriver has ended')
        try:
            return self.ask('GET', '/status', path='')['ready']
        except OSError:
            return False

    def ask(self, method, what, body=None, path=None):
        c = http.client.HTTPConnection('127.0.0.1', PORT, timeout=120)
        c.request(method, (f'/session/{self.session}' if path is None else path) + what, json.dumps(body or {}) if method == 'POST' else None)
        value = json.loads(c.getresponse().read())['value']
        c.close()
        if isinstance(value, dict) and 'error' in value:
            raise AssertionError(f'{what}: {value["error"]}: {value["message"].splitlines()[0]}')
        return value

    def open(self, url):
        self.ask('POST', '/url', {'url': url})

    def run(self, script, *args):
        """The value of a function's body in the page."""
        return self.ask('POST', '/execute/sync', {'script': script, 'args': list(args)})

    def find(self, css):
        return [e[ELEMENT] for e in self.ask('POST', '/elements', {'using': 'css selector', 'value': css})]

    def click(self, css):
        """As a hand does: what is hidden, off or covered cannot be."""
        found = self.find(css)
        check(len(found) > 0, f'no element {css}')
        self.ask('POST', f'/element/{found[0]}/click')

    def type(self, css, text):
        self.ask('POST', f'/element/{self.find(css)[0]}/value', {'text': text})

    def keys(self, *keys):
        """Keys to whatever has the focus."""
        pressed = [{'type': kind, 'value': k} for k in keys for kind in ('keyDown', 'keyUp')]
        self.ask('POST', '/actions', {'actions': [{'type': 'key', 'id': 'keyboard', 'actions': pressed}]})

    def text(self, css):
        """What is seen of the first."""
        found = self.find(css)
        return self.ask('GET', f'/element/{found[0]}/text') if found else None

    def texts(self, css):
        return self.run('return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText)', css)

    def size(self, width, height):
        self.command('Emulation.setDeviceMetricsOverride', {'width': width, 'height': height, 'deviceScaleFactor': 1, 'mobile': width < 600})

    def command(self, name, params):
        return self.ask('POST', '/goog/cdp/execute', {'cmd': name, 'params': params})

    def dark(self, on):
        self.command('Emulation.setEmulatedMedia', {'features': [{'name': 'prefers-color-scheme', 'value': 'dark' if on else 'light'}]})

    def picture(self, path):
        """The whole page."""
        size = self.command('Page.getLayoutMetrics', {})['cssContentSize']
        shot = self.command('Page.captureScreenshot', {'format': 'png', 'captureBeyondViewport': True, 'clip': {
            'x': 0, 'y': 0, 'width': size['width'], 'height': min(size['height'], 6000), 'scale': 1}})
        with open(path, 'wb') as f:
            f.write(base64.b64decode(shot['data']))

    def console(self):
        """What it has complained of since the last time."""
        return [f'{e["level"]}: {e["message"]}' for e in self.ask('POST', '/se/log', {'type': 'browser'})]

    def requested(self):
        """Addresses that were asked for since the last time."""
        events = [json.loads(e['message'])['message'] for e in self.ask('POST', '/se/log', {'type': 'performance'})]
        return [e['params']['request']['url'] for e in events if e['method'] == 'Network.requestWillBeSent']

    def close(self):
        self.ask('DELETE', '')
        self.child.terminate()
        self.child.wait()

    def end(self):
        """Whatever became of the test: no process of the browser outlives it."""
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open(f'/proc/{pid}/cmdline', 'rb') as f:
                    if self.home.encode() in f.read() and int(pid) != os.getpid():
                        os.kill(int(pid), signal.SIGKILL)
            except (FileNotFoundError, ProcessLookupError):
                pass
