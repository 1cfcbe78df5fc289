const byId = (id) => document.getElementById(id);
let api = '';
let token = '';

async function ask(method, path, body) {
  const response = await fetch(api + path, {
    method,
    headers: {
      ...(body && { 'content-type': 'application/json' }),
      ...(token && { authorization: `Bearer ${token}` }),
    },
    body: body && JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

async function showItems() {
  const { items } = await ask('GET', '/items');
  byId('items').replaceChildren(
    ...items.map(({ name }) => Object.assign(document.createElement('li'), { textContent: name })),
  );
}

function onSubmit(id, run) {
  byId(id).addEventListener('submit', async (event) => {
    event.preventDefault();
    byId('problem').textContent = '';
    try {
      await run(Object.fromEntries(new FormData(event.target)), event.submitter?.value);
    } catch (error) {
      byId('problem').textContent = error.message;
    }
  });
}

onSubmit('account', async (credentials, action) => {
  ({ token } = await ask('POST', `/auth/${action}`, credentials));
  byId('account').hidden = true;
  byId('list').hidden = false;
  await showItems();
});

onSubmit('item', async (item) => {
  await ask('POST', '/items', item);
  byId('item').reset();
  await showItems();
});

({ api } = await (await fetch('/config.json')).json());
