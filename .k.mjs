const d=process.argv[2];
const {Loaded}=await import(d+'/bench/verdict.js');
const {policies}=await import(d+'/src/timewait/policies/registry.js');
const together=process.argv[3]==='all';
const L=new Loaded(2000,policies[0]); let s=0;
const look=n=>L.lookUps(n,1000), f=n=>L.verdicts(n,1000);
const best=f=>{let m=1e9;for(let r=0;r<60;r++){const t=performance.now();s+=f(20000);m=Math.min(m,(performance.now()-t)*50);}return m;};
if(together)for(let r=0;r<3;r++)for(const p of policies){L.use(p);f(100000);}
const out=[];for(const n of process.argv[4].split(',')){const p=policies.find(p=>p.name===n);L.use(p);f(100000);look(100000);out.push(n+' '+(best(f)-best(look)).toFixed(1));}
console.log(d.slice(-8),together?'all':'alone',out.join('  '));
