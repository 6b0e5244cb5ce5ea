// What gradio has no component for: paste anywhere, the camera, the limit of a file in the officer's
// language, and words for screen readers.
// Every way of adding a photo ends at the file field, as if it had been chosen there.
() => {
  const give = (field, files) => {
    const moved = new DataTransfer();
    for (const file of files) moved.items.add(file);
    field.files = moved.files;
    field.dispatchEvent(new Event('change', { bubbles: true }));
  };
  const add = (files) => {
    const panel = document.querySelector('#fl-files');
    const field = panel?.querySelector('input[type=file]');
    if (field && files.length) give(field, files);
  };
  const stamp = () => new Date().toISOString().slice(0, 19).replaceAll(':', '-');

  document.addEventListener('paste', (event) => {
    if (event.target.closest('input, textarea')) return;
    const pasted = [...(event.clipboardData?.files ?? [])];
    const named = pasted.map((file, n) =>
      file.name === 'image.png' ? new File([file], `pasted ${stamp()} ${n + 1}.png`, { type: file.type }) : file);
    if (named.length) { event.preventDefault(); add(named); }
  });

  // Files over the limit are left out and named, before gradio sees them: it would refuse them and
  // all that came with them, in English, and write two errors on the console.
  const checked = new WeakSet();
  const refuse = (event, files, field) => {
    const said = event.target.closest('[role=tabpanel]')?.querySelector('.fl-over');
    if (!said) return;
    const over = files.filter((file) => file.size > Number(said.dataset.most));
    said.hidden = !over.length;
    said.textContent = said.dataset.text.replace('{names}', () => over.map((file) => file.name).join(', '));
    if (!over.length) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    field.value = '';
    const rest = files.filter((file) => !over.includes(file));
    if (!rest.length) return;
    checked.add(field);
    give(field, rest);
  };
  window.addEventListener('change', (event) => {
    const field = event.target;
    if (field.type === 'file' && !checked.delete(field)) refuse(event, [...field.files], field);
  }, true);
  window.addEventListener('drop', (event) => {
    const field = event.target.closest?.('.fl-adder')?.querySelector('input[type=file]');
    if (!field) return;
    refuse(event, [...event.dataTransfer.files], field);
    // A drop that gradio never sees would stay highlighted.
    if (event.defaultPrevented) event.target.dispatchEvent(new DragEvent('dragleave', { bubbles: true }));
  }, true);

  let stream = null;
  const stop = () => { stream?.getTracks().forEach((track) => track.stop()); stream = null; };
  document.addEventListener('click', async (event) => {
    const dialog = document.getElementById('fl-camera-window');
    const video = dialog?.querySelector('video');
    const adder = event.target.closest('[data-adds]')?.dataset.adds;
    if (adder) document.querySelector(`#${adder} input[type=file]`)?.click();
    else if (event.target.closest('#fl-camera')) {
      dialog.showModal();
      try {
        stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment', width: { ideal: 1920 } } });
        video.srcObject = stream;
      } catch { /* refused, or there is none */ }
      dialog.querySelector('p').hidden = Boolean(stream);
      dialog.querySelector('.fl-take').hidden = video.hidden = !stream;
    } else if (event.target.closest('.fl-take') && video.videoWidth) {
      const canvas = document.createElement('canvas');
      canvas.width = video.videoWidth; canvas.height = video.videoHeight;
      canvas.getContext('2d').drawImage(video, 0, 0);
      canvas.toBlob((blob) => {
        add([new File([blob], `camera ${stamp()}.jpg`, { type: 'image/jpeg' })]);
        dialog.close();
      }, 'image/jpeg', 0.95);
    } else if (event.target.closest('.fl-close')) dialog.close();
  });
  document.addEventListener('close', (event) => { if (event.target.id === 'fl-camera-window') stop(); }, true);

  // Review from the keyboard.
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
    if (event.target.closest('input, textarea, select, [role=listbox], dialog')) return;
    const key = event.key.toLowerCase();
    if (!'npcru'.includes(key) || key.length !== 1) return;
    const button = document.querySelector(`#fl-key-${key}`);
    if (button?.offsetParent) { event.preventDefault(); button.click(); }
  });

  // The answer is dark on white: so is the page.
  document.body.classList.remove('dark');
  document.getElementById('fl-first')?.setAttribute('aria-live', 'polite');
}
