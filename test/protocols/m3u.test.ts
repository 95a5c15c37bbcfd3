import t from 'tap';
import { writeM3u } from '../../daemon/protocols/m3u/write.js';

t.test('one entry is two lines', async (t) => {
  t.equal(
    writeM3u([{ id: 'news', name: 'News 24', url: 'http://edge:8080/live/news/index.m3u8' }]),
    '#EXTM3U\n#EXTINF:-1 tvg-id="news" tvg-name="News 24",News 24\nhttp://edge:8080/live/news/index.m3u8\n',
  );
});

t.test('names cannot break out of their line or attribute', async (t) => {
  const lines = writeM3u([{ id: 'a', name: 'x"\n#EXTM3U\r', url: 'u' }]).split('\n');
  t.equal(lines.length, 4);
  t.equal(lines[1], `#EXTINF:-1 tvg-id="a" tvg-name="x' #EXTM3U",x" #EXTM3U`);
});

t.test('no channels', async (t) => t.equal(writeM3u([]), '#EXTM3U\n'));
