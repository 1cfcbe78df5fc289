// Answers every request while the product is closed for maintenance; a snippet at the edge.
// 503 with Retry-After: search engines keep what they know, and clients come back.
// Source: https://developers.cloudflare.com/rules/snippets/

const RETRY_SECONDS = '300';

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Back soon</title>
<style>body{font:18px/1.5 system-ui,sans-serif;max-width:32em;margin:20vh auto;padding:0 1em}</style>
<h1>Back soon</h1>
<p>We are working on this. Nothing is lost; please try again in a few minutes.</p>
</html>
`;

const JSON_ANSWER = JSON.stringify({ statusCode: 503, error: 'Service Unavailable', message: 'maintenance' });

export default {
  async fetch(request) {
    const wantsPage = (request.headers.get('accept') ?? '').includes('text/html');
    return new Response(wantsPage ? PAGE : JSON_ANSWER, {
      status: 503,
      headers: {
        'content-type': wantsPage ? 'text/html; charset=utf-8' : 'application/json',
        'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        'cache-control': 'no-store',
        'retry-after': RETRY_SECONDS,
      },
    });
  },
};
