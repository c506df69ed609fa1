document.querySelector('button').addEventListener('click', async () => {
  const name = document.querySelector('input').value;
  await fetch('/charges', { method: 'POST' });
  document.querySelector('[role=status]').textContent = `Thank you, ${name}`;
  const root = document.querySelector('#host').attachShadow({ mode: 'open' });
  root.innerHTML = '<p data-testid="shadow">from a shadow root</p>';
});
